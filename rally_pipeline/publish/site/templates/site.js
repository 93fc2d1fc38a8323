"use strict";
(() => {
  const root = document.documentElement;
  const remembered = (value) => {
    try {
      if (value === undefined) return localStorage.getItem("theme");
      localStorage.setItem("theme", value);
    } catch { /* a file of some browsers remembers nothing */ }
    return null;
  };
  // Before anything is painted, so that nothing flashes.
  const chosen = remembered();
  if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;

  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const svg = (tag, parent, name) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    made.setAttribute("class", name);
    parent.append(made);
    return made;
  };
  const dayText = (number) =>
    new Date(number * 864e5).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });

  const theme = () => {
    const button = document.querySelector(".theme");
    if (!button) return;
    const system = matchMedia("(prefers-color-scheme: dark)");
    const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
    const show = () => button.setAttribute("aria-pressed", String(isDark()));
    button.hidden = false;
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      remembered(root.dataset.theme);
      show();
    });
    system.addEventListener("change", show);
    show();
  };

  const days = () => {
    const source = document.getElementById("answers-data");
    const select = document.getElementById("day");
    if (!source || !select) return;
    const data = JSON.parse(source.textContent);
    const [earlier, later] = [document.getElementById("earlier"), document.getElementById("later")];
    const told = document.getElementById("told");
    const places = all("[data-k]"), tones = all("[data-t]"), widths = all("[data-w]"), lists = all("[data-upto]");
    const show = (day, isAsked) => {
      const at = data.days.indexOf(day);
      if (at < 0) return;
      const texts = data.texts[at];
      for (const one of places) one.textContent = texts[one.dataset.k] ?? "";
      for (const one of tones) one.dataset.tone = texts[one.dataset.t] ?? "";
      for (const one of widths) one.setAttribute("width", texts[one.dataset.w] || "0");
      for (const list of lists) {
        const since = new Date(Date.parse(day) - list.dataset.days * 864e5).toISOString().slice(0, 10);
        let left = Number(list.dataset.upto);
        for (const item of list.children)
          if (item.dataset.date) item.hidden = !(item.dataset.date <= day && item.dataset.date > since && left-- > 0);
        list.querySelector("[data-empty]").hidden = left < Number(list.dataset.upto);
      }
      select.value = day;
      earlier.disabled = at === 0;
      later.disabled = at === data.days.length - 1;
      for (const chip of all("[data-day]")) chip.setAttribute("aria-pressed", String(chip.dataset.day === day));
      if (isAsked) {
        told.textContent = `Answers as of ${select.selectedOptions[0].textContent}`;
        history.replaceState(null, "", `#${day}`);
      }
    };
    const step = (by) => show(data.days[data.days.indexOf(select.value) + by], true);
    select.addEventListener("change", () => show(select.value, true));
    earlier.addEventListener("click", () => step(-1));
    later.addEventListener("click", () => step(1));
    for (const chip of all("[data-day]")) chip.addEventListener("click", () => show(chip.dataset.day, true));
    const fromHash = () => show(location.hash.slice(1), false);
    addEventListener("hashchange", fromHash);
    show(data.days[data.days.length - 1], false);
    fromHash();
  };

  const chart = (plot) => {
    const data = JSON.parse(document.getElementById(plot.dataset.chart).textContent);
    const readout = plot.parentElement.querySelector(".readout");
    const hint = readout.textContent;
    for (const series of data.series) {
      let at = 0;
      series.x = series.x.map((step) => (at += step));
    }
    const lead = data.series[0];
    const number = (value) =>
      (value < 0 ? "−" : data.signed && value > 0 ? "+" : "") +
      Math.abs(value).toLocaleString("en", { minimumFractionDigits: data.digits, maximumFractionDigits: data.digits });
    const near = (series, x) => {
      let low = 0, high = series.x.length - 1;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (series.x[middle] < x) low = middle + 1;
        else high = middle;
      }
      return low > 0 && x - series.x[low - 1] < series.x[low] - x ? low - 1 : low;
    };
    const pictures = () => all("svg[data-plot]", plot).filter((one) => one.getBoundingClientRect().width > 0);
    const marks = new Map();
    let at = lead.x.length - 1;
    plot.setAttribute("aria-valuemax", String(at));
    const show = (index) => {
      at = Math.max(0, Math.min(lead.x.length - 1, index));
      const x = lead.x[at];
      const place = data.days ? dayText(x) : `after ${x} ${data.axis}`;
      const parts = [];
      for (const series of data.series) {
        const found = near(series, x);
        if (series.x[found] === x) parts.push([series.name, number(series.y[found])]);
      }
      const unit = data.unit ? ` ${data.unit}` : "";
      readout.replaceChildren();
      const day = document.createElement("b");
      day.textContent = place;
      readout.append(day, ` · ${parts.map(([name, value]) => `${name} ${value}`).join(" · ")}${unit}`);
      plot.setAttribute("aria-valuenow", String(at));
      plot.setAttribute("aria-valuetext", `${place}: ${parts.map((part) => part.join(" ")).join(", ")}${unit}`);
      for (const picture of pictures()) {
        const meta = JSON.parse(picture.dataset.plot);
        if (!marks.has(picture)) marks.set(picture, [svg("line", picture, "cross"), svg("circle", picture, "spot")]);
        const [line, spot] = marks.get(picture);
        const left = meta.left + ((x * (data.days ? 864e5 : 1) - meta.x[0]) / (meta.x[1] - meta.x[0])) * meta.w;
        const isInside = left >= meta.left - 1 && left <= meta.left + meta.w + 1;
        const top = meta.top + (1 - (lead.y[at] - meta.y[0]) / (meta.y[1] - meta.y[0])) * meta.h;
        for (const [name, value] of Object.entries({ x1: left, x2: left, y1: meta.top, y2: meta.top + meta.h })) line.setAttribute(name, value);
        for (const [name, value] of Object.entries({ cx: left, cy: Math.max(meta.top, Math.min(meta.top + meta.h, top)), r: 4 })) spot.setAttribute(name, value);
        for (const mark of [line, spot]) mark.style.display = isInside ? "" : "none";
      }
    };
    const clear = () => {
      readout.textContent = hint;
      for (const pair of marks.values()) for (const mark of pair) mark.remove();
      marks.clear();
    };
    plot.addEventListener("pointermove", (event) => {
      const picture = pictures()[0];
      if (!picture) return;
      const box = picture.getBoundingClientRect();
      const meta = JSON.parse(picture.dataset.plot);
      const x = ((event.clientX - box.left) * picture.viewBox.baseVal.width) / box.width;
      const value = meta.x[0] + ((x - meta.left) / meta.w) * (meta.x[1] - meta.x[0]);
      show(near(lead, data.days ? value / 864e5 : value));
    });
    plot.addEventListener("pointerleave", () => document.activeElement !== plot && clear());
    plot.addEventListener("focus", () => show(at));
    plot.addEventListener("blur", clear);
    plot.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -20, PageUp: 20, Home: -Infinity, End: Infinity }[event.key];
      if (by === undefined) return;
      event.preventDefault();
      show(at + by);
    });
  };

  const filter = (field) => {
    const scope = document.getElementById(field.dataset.filter);
    const status = field.parentElement.querySelector("[role=status]");
    const rows = all("[data-row]", scope).map((row) => {
      const group = row.closest("[data-group]");
      return { row, group, text: `${group ? group.id : ""} ${row.textContent}`.toLowerCase() };
    });
    const groups = all("[data-group]", scope);
    const blocks = all(".block", scope);
    const show = () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      const full = new Set();
      for (const { row, group, text } of rows) {
        const isIn = words.every((word) => text.includes(word));
        row.hidden = !isIn;
        if (isIn) count += 1;
        if (isIn && group) full.add(group);
      }
      for (const group of groups) {
        group.hidden = !full.has(group);
        if (words.length) group.open = full.size <= 6 && full.has(group);
        else group.open = group.id === location.hash.slice(1);
      }
      for (const block of blocks) block.hidden = !block.querySelector("[data-row]:not([hidden])");
      status.textContent = words.length ? `${count} of ${rows.length}` : "";
    };
    field.addEventListener("input", show);
    if (field.value) show();
  };

  const opened = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) {
      target.open = true;
      target.scrollIntoView();
    }
  };

  const claims = () => {
    const marks = all("mark[data-claims]");
    if (!marks.length) return;
    const light = (ids, isOn) => {
      for (const id of ids) document.getElementById(id)?.classList.toggle("lit", isOn);
      for (const mark of marks) if (mark.dataset.claims.split(" ").some((id) => ids.includes(id))) mark.classList.toggle("lit", isOn);
    };
    const on = (element, ids) => {
      for (const name of ["mouseenter", "focusin"]) element.addEventListener(name, () => light(ids, true));
      for (const name of ["mouseleave", "focusout"]) element.addEventListener(name, () => light(ids, false));
    };
    for (const mark of marks) {
      const ids = mark.dataset.claims.split(" ");
      on(mark, ids);
      mark.addEventListener("click", () => {
        const card = document.getElementById(ids[0]);
        card.scrollIntoView({ block: "nearest" });
        card.focus({ preventScroll: true });
      });
    }
    for (const ref of all(".ref")) on(ref, [ref.hash.slice(1)]);
    for (const card of all(".claim")) on(card, [card.id]);
    // Where text and claims stand side by side, the panel moves, not the page.
    for (const ref of all(".ref")) ref.addEventListener("click", (event) => {
      if (!matchMedia("(min-width: 980px)").matches) return;
      event.preventDefault();
      const card = document.getElementById(ref.hash.slice(1));
      card.scrollIntoView({ block: "nearest" });
      card.focus({ preventScroll: true });
      history.replaceState(null, "", ref.hash);
    });
  };

  addEventListener("DOMContentLoaded", () => {
    document.querySelector(".places [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
    theme();
    days();
    all("[data-chart]").forEach(chart);
    all("[data-filter]").forEach(filter);
    claims();
    opened();
    addEventListener("hashchange", opened);
  });
})();

"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const titles = ["Payloads, catalog, calendars", "Core, as loaded", "Core, resolved", "Marts"];
  const lanes = document.getElementById("lanes");
  const ways = document.getElementById("ways");
  const told = document.getElementById("told");
  const find = document.getElementById("find");
  const values = document.getElementById("values");
  const clear = document.getElementById("clear");
  const HINT = "Open a table and choose a column. Hover or focus a column for a look, click or Enter to keep it.";
  const columns = [];
  const byId = new Map();
  let kept = null;

  const make = (tag, parent, text, name) => {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    if (name) made.className = name;
    parent.append(made);
    return made;
  };
  const isDirect = (edge) => data.kinds[edge[1]].direct;

  const sections = titles.map((title, at) => {
    const section = make("section", lanes);
    make("h2", section, title);
    section.setAttribute("aria-label", title);
    section.dataset.lane = at;
    return section;
  });
  const names = document.getElementById("names");
  for (const box of data.boxes) {
    const frame = make("div", sections[box.lane], "", "box");
    const head = make("button", frame);
    const label = make("b", head);
    for (const part of box.name.split(/(?<=[_:])/)) {
      label.append(part);
      make("wbr", label);
    }
    head.type = "button";
    head.title = box.about;
    head.setAttribute("aria-expanded", "false");
    make("span", head, String(box.columns.length)).setAttribute("aria-label", `${box.columns.length} columns`);
    const list = make("ul", frame);
    box.frame = frame;
    head.addEventListener("click", () => {
      if (kept !== null && frame.classList.contains("part")) {
        frame.classList.toggle("all");
      } else {
        box.isOpen = frame.classList.toggle("open");
        head.setAttribute("aria-expanded", String(box.isOpen));
      }
      draw();
    });
    box.head = head;
    for (const one of box.columns) {
      const item = make("li", list);
      const button = make("button", item, one.name);
      button.type = "button";
      button.title = one.about;
      const column = { ...one, box, item, button, at: columns.length, into: [] };
      columns.push(column);
      byId.set(one.id, column);
      button.addEventListener("click", () => keep(kept === column ? null : column));
      button.addEventListener("mouseenter", () => kept === null && tell(column));
      button.addEventListener("focus", () => kept === null && tell(column));
      make("option", names).value = one.id;
    }
  }
  for (const column of columns)
    for (const [at, kind] of column.from) columns[at].into.push([column.at, kind]);

  // All columns reached one way, each with whether a value gets there or something is only decided.
  const reach = (start, way) => {
    const found = new Map();
    const waiting = [[start, true]];
    while (waiting.length) {
      const [column, isValue] = waiting.pop();
      for (const edge of column[way]) {
        const goesOn = isValue && isDirect(edge);
        if (values.checked && !goesOn) continue;
        const other = columns[edge[0]];
        if (other !== start && (!found.has(other) || (goesOn && !found.get(other)))) {
          found.set(other, goesOn);
          waiting.push([other, goesOn]);
        }
      }
    }
    return found;
  };

  let shown = null;
  const show = (column) => {
    lanes.classList.toggle("chosen", column !== null);
    for (const box of data.boxes) {
      box.frame.classList.remove("part", "all", "up", "down", "self");
      box.frame.classList.toggle("open", Boolean(box.isOpen));
      box.head.setAttribute("aria-expanded", String(Boolean(box.isOpen)));
    }
    for (const one of columns) one.item.classList.remove("part", "up", "down", "weak", "self");
    shown = null;
    if (column === null) return;
    const up = reach(column, "from");
    const down = reach(column, "into");
    const mark = (one, name, isValue) => {
      one.item.classList.add("part", name);
      if (!isValue) one.item.classList.add("weak");
      one.box.frame.classList.add("part", "open", name);
      one.box.head.setAttribute("aria-expanded", "true");
    };
    for (const [one, isValue] of up) mark(one, "up", isValue);
    for (const [one, isValue] of down) mark(one, "down", isValue);
    mark(column, "self", true);
    column.item.classList.remove("up", "down");
    shown = { column, up, down };
  };

  const draw = () => {
    ways.replaceChildren();
    if (!shown) return;
    const origin = lanes.getBoundingClientRect();
    const at = (column) => {
      const place = column.button.getBoundingClientRect();
      const frame = column.box.frame.getBoundingClientRect();
      return { left: frame.left - origin.left, right: frame.right - origin.left, y: place.top + place.height / 2 - origin.top };
    };
    const line = (from, to, name, isDirectEdge) => {
      const [a, b] = [at(from), at(to)];
      const path = document.createElementNS(ways.namespaceURI, "path");
      const isBack = from.box.lane >= to.box.lane;
      const x1 = a.right, x2 = isBack ? b.right : b.left;
      const bend = isBack ? 26 : Math.max(24, (x2 - x1) / 2);
      path.setAttribute("d", `M${x1},${a.y} C${x1 + bend},${a.y} ${isBack ? x2 + bend : x2 - bend},${b.y} ${x2},${b.y}`);
      path.setAttribute("class", isDirectEdge ? name : `${name} weak`);
      ways.append(path);
    };
    const through = (found, way) => {
      for (const one of [shown.column, ...found.keys()]) {
        const drawnTo = new Map();
        const isValue = one === shown.column || found.get(one);
        for (const edge of one[way]) {
          const strong = isValue && isDirect(edge);
          if ((values.checked && !strong) || !(found.has(columns[edge[0]]))) continue;
          drawnTo.set(edge[0], drawnTo.get(edge[0]) || strong);
        }
        for (const [other, strong] of drawnTo)
          way === "from" ? line(columns[other], one, "up", strong) : line(one, columns[other], "down", strong);
      }
    };
    through(shown.up, "from");
    through(shown.down, "into");
  };

  const list = (edges) => {
    const ids = [...new Set(edges.map(([at]) => columns[at].id))];
    return ids.slice(0, 8).join(", ") + (ids.length > 8 ? ` and ${ids.length - 8} more` : "");
  };
  const tell = (column) => {
    told.replaceChildren();
    if (column === null) {
      make("span", told, HINT, "dim");
      return;
    }
    make("b", told, column.id);
    if (column.about) told.append(` – ${column.about}`);
    const direct = column.from.filter(isDirect);
    if (direct.length) make("span", told, ` From ${list(direct)}.`, "up");
    const decided = column.from.filter((edge) => !isDirect(edge));
    if (decided.length && !values.checked) make("span", told, ` Decided by ${list(decided)}.`, "dim");
    if (column.into.length) make("span", told, ` Into ${list(column.into)}.`, "down");
  };

  const keep = (column) => {
    kept = column;
    clear.disabled = column === null;
    show(column);
    tell(column);
    draw();
    const hash = column ? `#${encodeURIComponent(column.id)}` : " ";
    history.replaceState(null, "", column ? hash : location.pathname + location.search);
  };
  const choose = (id) => {
    const column = byId.get(id.trim());
    if (column) {
      keep(column);
      column.button.scrollIntoView({ block: "center", inline: "nearest" });
      draw();
    }
    return Boolean(column);
  };

  find.addEventListener("change", () => choose(find.value));
  values.addEventListener("change", () => keep(kept));
  clear.addEventListener("click", () => keep(null));
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && kept !== null) {
      const was = kept;
      keep(null);
      was.box.isOpen = true;
      show(null);
      was.button.focus();
    }
  });
  addEventListener("resize", draw);
  const fromHash = () => {
    try {
      return choose(decodeURIComponent(location.hash.slice(1)));
    } catch {
      return false;
    }
  };
  addEventListener("hashchange", fromHash);
  tell(null);
  fromHash();
})();

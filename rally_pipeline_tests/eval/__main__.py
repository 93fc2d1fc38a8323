"""`make eval`: scores the extractor on the labels, runs it over all recorded notes, and compares with the goals.

Prints to the terminal; ``--json FILE`` also writes the figures (without texts). Ends with 0 whatever the scores are.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rally_pipeline_tests.eval import claim_scoring, gold, report, running, scoring
from rally_pipeline_tests.eval.scoring import Score

#: The fields whose micro-F1 is held against the goal.
RATING_FIELDS = scoring.ACTION_FIELDS
#: Held-out groups: each is scored on its own, so that no style is only ever seen together with another.
FOLDS: dict[str, tuple[str, ...]] = {
    "benzinga": ("benzinga",),
    "cnbc": ("cnbc",),
    "sentfin + gold": ("sentfin", "gold"),
    "rthk + cim": ("rthk", "cim"),
    "own": ("own",),
}
HOLDOUT_TITLE = "holdout: unseen when first scored, see README.md; its classes of errors were mended since"
HEADLINE_FILES = ("ratings.jsonl",)
SENTENCE_FILES = ("perf.jsonl", "flow.jsonl")


def print_fields(score: Score) -> None:
    """Precision, recall and F1 by field, and the shares of whole records."""
    for line in (
        *report.fields("ratings", score, ("is_rating", *RATING_FIELDS), RATING_FIELDS),
        *report.fields("quantities", score, ("quantity", "quantity_value")),
        *report.fields("claims", score, ("claim", *claim_scoring.CLAIM_FIELDS), claim_scoring.CLAIM_FIELDS),
    ):
        print(line)
    print("\nwhole records right")
    for what, words in (
        ("rating", "headlines with a rating"),
        ("headline", "all headlines"),
        ("sentence", "sentences, every claim and field"),
    ):
        print(f"  {words:<36}{report.number(score.share(what))}  of {score.records[what]}")


def print_goals(table: Sequence[tuple[str, float, float, str]]) -> None:
    """Goals beside what was measured."""
    print(f"\n{'goal':<26}{'wanted':>10}{'measured':>12}")
    for name, wanted, measured, remark in table:
        met = "not measured" if math.isnan(measured) else "met" if measured >= wanted else "NOT MET"
        shown = "-" if math.isnan(measured) else f"{measured:,.0f}" if wanted > 1 else f"{measured:.3f}"
        print(f"{name:<26}{wanted:>10,.6g}{shown:>12}  {met:<13} {remark}")


def score_item(extractor: running.Extractor, item: gold.Item, crashed: dict[str, str]) -> Score:
    """All scores of one labelled text. A text on which the extractor fails counts as one in which it found nothing, and
    is noted in `crashed`.
    """
    try:
        extraction = running.read_item(extractor, item)
        found = running.found_actions(extraction)
        quantities = running.found_quantities(extraction)
        claims = running.found_claims(extraction)
    except Exception as error:  # shown at the end; the other texts are still scored
        crashed[item.id] = f"{type(error).__name__}: {error}"
        found, quantities, claims = [], [], []
    score = Score()
    if item.has_actions:
        score.merge(scoring.score_headline(item.id, item.is_rating, item.actions, found, extractor.broker_id))
    if item.quantities or item.has_claims:
        score.merge(scoring.score_quantities(item.id, item.quantities, quantities))
    if item.has_claims and not item.has_actions:
        score.merge(claim_scoring.score_claims(item.id, item.claims, claims, item.ignore, extractor.broker_id))
    return score


def source_tally(score: Score) -> scoring.Tally:
    """Houses of ratings and sources of claims together."""
    return score.micro(["broker", "source"])


def goals(
    score: Score,
    of_houses: Score,
    sweeps: Sequence[running.Sweep],
    short: running.Sweep,
    crashes: int,
    labelled: int,
) -> list[tuple[str, float, float, str]]:
    """(goal, wanted, measured, remark) in the order of the statement of goals; NaN = not measured here.

    `of_houses`: the score without tips that a person alone signs.
    """
    window = score.micro(["window"])
    spans = sum(sweep.spans for sweep in sweeps)
    wrong = sum(len(sweep.wrong_spans) for sweep in sweeps)
    notes = labelled + sum(sweep.notes for sweep in sweeps)
    nan = float("nan")
    return [
        (
            *("rating fields, micro-F1", 0.95, score.micro(RATING_FIELDS).f1),
            f"without tips of persons {report.number(of_houses.micro(RATING_FIELDS).f1)}",
        ),
        (
            *("whole rating record", 0.85, score.share("rating")),
            f"every field right; without tips of persons {report.number(of_houses.share('rating'))}",
        ),
        ("quantities, F1", 0.98, score.micro(["quantity"]).f1, "span, value, kind and currency"),
        ("source, F1", 0.95, source_tally(score).f1, "houses of ratings, sources of claims"),
        (
            "windows exact",
            0.90,
            window.recall,
            f"of all labelled; of claims that were found {report.number(score.share('window'))}",
        ),
        ("spans exact", 1.0, (spans - wrong) / spans if spans else nan, f"{spans} spans in all notes"),
        ("notes without a crash", 1.0, 1 - crashes / notes, f"{notes} notes"),
        ("short notes a second", 2000.0, short.notes_per_second, "headlines, one core, processor time"),
        ("verdicts", 0.95, nan, "not measured here: needs a warehouse"),
    ]


def day_of(value: str | None) -> dt.date | None:
    return dt.date.fromisoformat(value[:10]) if value and value[4:5] == "-" else None


def texts_of(path: Path) -> Iterator[tuple[str, str, dt.date | None, str]]:
    """(id, text, date, ticker) of every row of a file, whole articles included."""
    for number, row in enumerate(gold.rows_of(path)):
        text = row.get("text") or row.get("body") or ""
        if text:
            yield row.get("id") or f"{path.stem}:{number}", text, day_of(row.get("date")), row.get("ticker") or ""


def merged(scores: Iterable[Score]) -> Score:
    """Scores added up."""
    total = Score()
    for score in scores:
        total.merge(score)
    return total


def grouped(scores: dict[str, Score], items: Iterable[gold.Item], key: Callable[[gold.Item], str]) -> dict[str, Score]:
    """Scores added up by a property of the texts."""
    groups: dict[str, Score] = {}
    for item in items:
        groups.setdefault(key(item), Score()).merge(scores[item.id])
    return groups


def fold_of(item: gold.Item) -> str:
    return next(name for name, sources in FOLDS.items() if item.source in sources)


def _summary(score: Score) -> dict[str, float]:
    return {
        "rating_micro_f1": score.micro(RATING_FIELDS).f1,
        "rating_record": score.share("rating"),
        "is_rating_f1": score.micro(["is_rating"]).f1,
        "quantity_f1": score.micro(["quantity"]).f1,
        "claim_f1": score.micro(["claim"]).f1,
        "claim_fields_f1": score.micro(claim_scoring.CLAIM_FIELDS).f1,
        "window_recall": score.micro(["window"]).recall,
        "source_f1": source_tally(score).f1,
    }


def print_groups(title: str, groups: dict[str, Score]) -> None:
    """One row per group; below it minimum and mean over the groups in which there was something to count."""
    rows = {name: _summary(score) for name, score in sorted(groups.items())}
    heads = list(next(iter(rows.values())))
    print(f"\n{title}\n  {'':<30}" + "".join(f"{head.replace('_', ' '):>18}" for head in heads))
    for name, row in rows.items():
        print(f"  {name:<30}" + "".join(f"{report.number(value):>18}" for value in row.values()))
    for name, combine in (("min", min), ("mean", lambda values: sum(values) / len(values))):
        columns = [[row[head] for row in rows.values() if not math.isnan(row[head])] for head in heads]
        print(f"  {name:<30}" + "".join(f"{report.number(combine(c) if c else float('nan')):>18}" for c in columns))


def print_labels(items: Sequence[gold.Item]) -> None:
    """How many labels there are, by source."""
    print("labels")
    counts: dict[str, Counter[str]] = {}
    for item in items:
        count = counts.setdefault(item.source, Counter())
        count["texts"] += 1
        count["ratings"] += item.has_actions and bool(item.is_rating)
        count["no rating"] += item.has_actions and item.is_rating is False
        count["left open"] += item.has_actions and item.is_rating is None
        count["actions"] += len(item.actions)
        count["quantities"] += sum(not quantity.is_optional for quantity in item.quantities)
        count["claims"] += sum(not claim.is_optional for claim in item.claims)
        count["windows"] += sum(claim.window is not None and not claim.is_optional for claim in item.claims)
    heads = ("texts", "ratings", "no rating", "left open", "actions", "quantities", "claims", "windows")
    print(f"  {'':<12}" + "".join(f"{head:>12}" for head in heads))
    for source, count in sorted(counts.items()):
        print(f"  {source:<12}" + "".join(f"{count[head]:>12}" for head in heads))
    print(f"  {'all':<12}" + "".join(f"{sum(c[head] for c in counts.values()):>12}" for head in heads))


def print_holdout(extractor: running.Extractor) -> None:
    """The scores on the holdout, without its texts: whoever mends grammars is not to see them."""
    items = gold.load(gold.HOLDOUT)
    crashed: dict[str, str] = {}
    scores = {item.id: score_item(extractor, item, crashed) for item in items}
    total = merged(scores.values())
    of_houses = merged(scores[item.id] for item in items if not item.is_tip)
    print(f"\n{HOLDOUT_TITLE}")
    print_labels(items)
    print_fields(total)
    print_goals(goals(total, of_houses, [], running.Sweep(), len(crashed), len(items)))


def clean(value: Any) -> Any:
    """NaN as null, for JSON."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, dict):
        return {key: clean(inner) for key, inner in value.items()}
    return [clean(inner) for inner in value] if isinstance(value, list | tuple) else value


def main() -> None:
    parser = argparse.ArgumentParser(prog="make eval", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--errors", type=int, default=12, help="disagreements shown per field (default 12)")
    parser.add_argument("--labels-only", action="store_true", help="skip the run over all recorded notes")
    parser.add_argument("--set", choices=("gold", "holdout"), default="gold", help="labels to score (default gold)")
    options = parser.parse_args()

    names = gold.FILES if gold.is_complete() else ("gold_own.jsonl",)
    if options.set == "holdout":
        names = (gold.HOLDOUT,)
        print(HOLDOUT_TITLE)
    elif not gold.is_complete():
        print(f"the recorded notes are not there ({gold.NOTES}); only the labels with texts of their own are scored\n")
    items = [item for name in names for item in gold.load(name)]
    print_labels(items)
    try:
        extractor = running.open_extractor()
    except ImportError as error:
        print(f"\nno extractor to score yet: {error}")
        return

    scores: dict[str, Score] = {}
    crashed: dict[str, str] = {}
    for item in items:
        scores[item.id] = score_item(extractor, item, crashed)
    total = merged(scores[item.id] for item in items)
    of_houses = merged(scores[item.id] for item in items if not item.is_tip)

    print_fields(total)
    print("\nclaims found, by type")
    for kind in sorted(k for k in total.records if k.startswith("claim_") and not k.endswith("_right")):
        print(f"  {kind.removeprefix('claim_'):<22}{report.number(total.share(kind))}  of {total.records[kind]}")
    for line in report.confusion(total):
        print(line)
    if options.set == "gold":
        print_groups("five folds by source", grouped(scores, items, fold_of))
    print_groups("by source and style", grouped(scores, items, lambda item: f"{item.source} {item.style}"))

    sweeps: dict[str, running.Sweep] = {}
    short = running.Sweep()
    if gold.is_complete() and options.set == "gold" and not options.labels_only:
        headlines = [row for row in texts_of(gold.NOTES / "ratings.jsonl") if 60 <= len(row[1]) <= 150]
        short = min((running.sweep(extractor, headlines) for _ in range(3)), key=lambda sweep: sweep.seconds)
        print("\nall recorded notes")
        print(f"  {'file':<20}{'notes':>8}{'claims':>8}{'crashes':>9}{'wrong spans':>13}{'notes/s':>10}")
        for path in sorted(gold.NOTES.glob("*.jsonl")):
            result = sweeps[path.name] = running.sweep(extractor, texts_of(path))
            print(
                f"  {path.name:<20}{result.notes:>8}{result.claims:>8}{len(result.crashes):>9}"
                f"{len(result.wrong_spans):>13}{result.notes_per_second:>10,.0f}"
            )
        print(f"  {len(headlines)} headlines of 60–150 characters: {short.notes_per_second:,.0f} notes/s on one core")
        for result in sweeps.values():
            crashed |= result.crashes

    for line in report.errors(total, {item.id: item.text for item in items}, options.errors):
        print(line)
    if crashed:
        print(f"\ncrashes: {len(crashed)}")
        for id_, message in list(crashed.items())[: options.errors]:
            print(f"  {id_}  {message}")

    table = goals(total, of_houses, list(sweeps.values()), short, len(crashed), len(items))
    print_goals(table)
    if options.set == "gold":
        print_holdout(extractor)

    if options.json:
        figures = {
            "fields": {
                name: {"precision": t.precision, "recall": t.recall, "f1": t.f1, **asdict(t)}
                for name, t in sorted(total.fields.items())
            },
            "whole_records": {what: total.share(what) for what in ("rating", "headline", "sentence")},
            "folds": {name: _summary(s) for name, s in grouped(scores, items, fold_of).items()}
            if options.set == "gold"
            else {},
            "styles": {
                name: _summary(s) for name, s in grouped(scores, items, lambda i: f"{i.source} {i.style}").items()
            },
            "confusion": [[labelled, found, n] for (labelled, found), n in total.confusion.most_common()],
            "goals": [
                {"goal": name, "wanted": wanted, "measured": measured, "is_met": measured >= wanted}
                for name, wanted, measured, _ in table
            ],
            "notes": {
                name: {"notes": s.notes, "claims": s.claims, "by_type": s.by_type, "crashes": len(s.crashes)}
                for name, s in sweeps.items()
            },
            "crashes": crashed,
            "misses": [asdict(miss) for miss in total.misses],
        }
        options.json.write_text(json.dumps(clean(figures), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

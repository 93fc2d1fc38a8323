"""Tables of the evaluation for a terminal.

Belongs here: layout. Does not belong here: any figure that `scoring.py` or `running.py` does not give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rally_pipeline_tests.eval.scoring import Miss, Score, Tally, worst


def number(value: float) -> str:
    """Three digits, or a dash where there was nothing to count."""
    return "  -  " if value != value else f"{value:.3f}"


def _row(name: str, tally: Tally) -> str:
    return (
        f"  {name:<22}{number(tally.precision):>8}{number(tally.recall):>8}{number(tally.f1):>8}"
        f"{tally.tp:>8}{tally.fp:>6}{tally.fn:>6}"
    )


def fields(title: str, score: Score, names: Sequence[str], micro: Sequence[str] = ()) -> list[str]:
    """Precision, recall and F1 by field, and over the fields of `micro` together."""
    lines = ["", title, f"  {'field':<22}{'P':>8}{'R':>8}{'F1':>8}{'right':>8}{'wrong':>6}{'lost':>6}"]
    lines += [_row(name, score.fields[name]) for name in names if name in score.fields]
    if micro:
        lines.append(_row("micro", score.micro(micro)))
    return lines


def confusion(score: Score) -> list[str]:
    """Labelled action by found action, differences only, and how many agree."""
    agree = sum(count for (gold, found), count in score.confusion.items() if gold == found)
    lines = ["", f"actions: {agree} of {score.confusion.total()} agree; the others, labelled → found:"]
    others = [(pair, count) for pair, count in score.confusion.most_common() if pair[0] != pair[1]]
    lines += [f"  {count:>4}  {gold or '(none)'} → {found or '(none)'}" for (gold, found), count in others]
    return lines


def errors(score: Score, texts: Mapping[str, str], limit: int) -> list[str]:
    """The first `limit` disagreements of each field with their texts."""
    lines = ["", "disagreements by field, labelled → found"]
    for name, misses in worst(score.misses, list(score.fields)).items():
        lines.append(f"  {name}: {len(misses)}")
        lines += [_miss(miss, texts) for miss in misses[:limit]]
    return lines


def _miss(miss: Miss, texts: Mapping[str, str]) -> str:
    text = " ".join(texts.get(miss.id, "").split())
    short = text if len(text) <= 150 else text[:149] + "…"
    return f"    {miss.id}  {miss.expected or '-'} → {miss.found or '-'}   [{short}]"

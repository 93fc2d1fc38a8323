"""The labels in ``rally_pipeline_tests/eval`` belong to the recorded texts they name, word for word."""

from __future__ import annotations

import pytest

from rally_pipeline_tests.eval import gold

pytestmark = pytest.mark.skipif(not gold.is_complete(), reason=f"recorded notes not there: {gold.NOTES}")


@pytest.mark.parametrize(("name", "at_least"), [("gold_headlines.jsonl", 300), ("gold_sentences.jsonl", 150)])
def test_labels_belong_to_the_recorded_texts(name: str, at_least: int) -> None:
    items = gold.load(name)
    assert len(items) >= at_least
    for item in items:
        spans = [q.span for q in item.quantities] + list(item.ignore) + [a for c in item.claims for a in c.anchors]
        assert all(0 <= start < end <= len(item.text) for start, end in spans), item.id
        assert bool(item.actions) == bool(item.has_actions and item.is_rating), item.id

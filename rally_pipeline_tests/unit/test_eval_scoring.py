"""The scorer of the notes evaluation on toy labels: what is right counts as right, each mistake costs its own field."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math

import pytest

from rally_pipeline_tests.eval import gold
from rally_pipeline_tests.eval.claim_scoring import (
    FoundClaim,
    FoundWindow,
    GoldClaim,
    GoldWindow,
    same_window,
    score_claims,
)
from rally_pipeline_tests.eval.sameness import same_broker, same_currency, same_name, same_number, same_rating
from rally_pipeline_tests.eval.scoring import (
    ACTION_FIELDS,
    Amount,
    FoundAction,
    GoldAction,
    Score,
    Tally,
    pair,
    score_headline,
    score_quantities,
    worst,
)


def broker_id(name: str) -> str:
    return {"Jeffries": "jefferies", "Jefferies": "jefferies", "大摩": "ms", "Morgan Stanley": "ms"}.get(name, "")


GOLD = GoldAction(
    broker=("Jefferies",),
    subject=("Kerrow Mining Ltd",),
    rating_action=("Upgrade",),
    rating=("Equal-weight",),
    rating_prior=("Sell",),
    target_action=("Increase",),
    target=4.2,
    target_prior=(3.1,),
    currency="$",
)
OPEN = dataclasses.replace(GOLD, target_action=("Increase", ""))
FOUND = FoundAction("Jeffries", "Kerrow Mining", "Upgrade", "equal weight", "sell", "Increase", 4.2, 3.1, "USD")


def headline(gold_actions: list[GoldAction], found: list[FoundAction], is_rating: bool | None = True) -> Score:
    return score_headline("x1", is_rating, gold_actions, found, broker_id)


def test_tally_arithmetic() -> None:
    tally = Tally(8, 2, 0) + Tally(0, 0, 8)
    assert (tally.precision, tally.recall) == (0.8, 0.5)
    assert tally.f1 == pytest.approx(2 * 0.8 * 0.5 / 1.3)
    assert math.isnan(Tally().f1)
    assert Tally(0, 0, 1).f1 == 0.0


def test_a_right_action_counts_once_per_field() -> None:
    score = headline([GOLD], [FOUND])
    assert not score.misses
    assert {name: score.fields[name].tp for name in ACTION_FIELDS} == dict.fromkeys(ACTION_FIELDS, 1)
    assert score.micro(ACTION_FIELDS) == Tally(9, 0, 0)
    assert score.share("rating") == 1.0
    assert score.confusion == {("Upgrade", "Upgrade"): 1}


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("broker", "Barclays"),
        ("subject", "Tellmore Energy"),
        ("rating_action", "Downgrade"),
        ("rating", "overweight"),
        ("rating_prior", "hold"),
        ("target_action", "Decrease"),
        ("target", 42.0),
        ("target_prior", 4.2),
        ("currency", "HKD"),
    ],
)
def test_a_mistake_costs_its_own_field_and_the_record(name: str, wrong: str | float) -> None:
    score = headline([GOLD], [dataclasses.replace(FOUND, **{name: wrong})])
    assert [miss.field for miss in score.misses] == [name]
    assert score.fields[name] == Tally(0, 1, 1)
    assert score.micro(ACTION_FIELDS) == Tally(8, 1, 1)
    assert score.share("rating") == 0.0


@pytest.mark.parametrize("name", ["broker", "subject", "rating_action", "rating", "target", "currency"])
def test_a_missing_field_is_lost_but_not_wrong(name: str) -> None:
    empty = None if name == "target" else ""
    score = headline([GOLD], [dataclasses.replace(FOUND, **{name: empty})])
    assert score.fields[name] == Tally(0, 0, 1)


def test_an_answer_that_may_be_empty_costs_nothing_when_empty() -> None:
    score = headline([OPEN], [dataclasses.replace(FOUND, target_action="")])
    assert not score.misses
    assert score.fields["target_action"] == Tally(0, 0, 0)


def test_a_wrong_answer_where_none_is_needed_is_wrong_but_not_lost() -> None:
    score = headline([OPEN], [dataclasses.replace(FOUND, target_action="Decrease")])
    assert score.fields["target_action"] == Tally(0, 1, 0)


def test_nothing_found_loses_every_field() -> None:
    score = headline([GOLD], [])
    assert score.fields["is_rating"] == Tally(0, 0, 1)
    assert score.micro(ACTION_FIELDS) == Tally(0, 0, 9)
    assert headline([OPEN], []).micro(ACTION_FIELDS) == Tally(0, 0, 8)
    assert score.confusion == {("Upgrade", "(not found)"): 1}


def test_a_rating_where_there_is_none_is_wrong_in_every_field() -> None:
    score = headline([], [FOUND], is_rating=False)
    assert score.fields["is_rating"] == Tally(0, 1, 0)
    assert score.micro(ACTION_FIELDS) == Tally(0, 9, 0)
    assert score.share("headline") == 0.0
    assert score.records["rating"] == 0


def test_silence_on_a_headline_without_rating_is_right() -> None:
    score = headline([], [], is_rating=False)
    assert not score.misses
    assert score.share("headline") == 1.0


def test_a_headline_left_open_counts_nothing() -> None:
    assert headline([], [FOUND], is_rating=None) == Score()


def test_two_actions_are_matched_to_their_own_labels_in_any_order() -> None:
    other = dataclasses.replace(GOLD, subject=("Tellmore",), target=7.0, target_prior=(None,), rating_prior=())
    found = dataclasses.replace(FOUND, subject="Tellmore", target=7.0, target_prior=None, rating_prior="")
    assert not headline([GOLD, other], [found, FOUND]).misses
    crossed = headline([GOLD, other], [FOUND])
    assert crossed.fields["subject"] == Tally(1, 0, 1)
    assert crossed.share("rating") == 0.0


def test_without_a_name_in_the_text_the_subject_is_not_scored() -> None:
    unnamed = dataclasses.replace(GOLD, subject=())
    assert not headline([unnamed], [dataclasses.replace(FOUND, subject="the miner")]).misses


def test_a_house_that_names_nobody_is_no_house() -> None:
    unnamed = dataclasses.replace(GOLD, broker=())
    assert not headline([unnamed], [dataclasses.replace(FOUND, broker="The firm")]).misses
    assert headline([unnamed], [FOUND]).fields["broker"] == Tally(0, 1, 0)


def test_houses_are_the_same_by_catalog_or_by_name() -> None:
    assert same_broker("Morgan Stanley", "大摩", broker_id)
    assert same_broker("JP Morgan", "JPMorgan", broker_id)
    assert same_broker("RBC Capital", "RBC Capital Markets", broker_id)
    assert not same_broker("Bank of America", "Bank of Nova Scotia", broker_id)


def test_pence_may_be_said_in_pounds() -> None:
    pence = dataclasses.replace(GOLD, target=1150.0, target_prior=(None,), currency="GBX")
    found = dataclasses.replace(FOUND, target=11.5, target_prior=None, currency="GBP")
    assert not headline([pence], [found]).misses
    assert headline([pence], [dataclasses.replace(found, target=1150.0)]).fields["target"] == Tally(0, 1, 1)


def test_names_without_legal_form_are_the_same() -> None:
    assert same_name("Advance Auto Parts Inc", "Advance Auto Parts")
    assert same_name("The Advisory Board Company", "Advisory Board")
    assert same_name("腾讯控股", "腾讯")
    assert not same_name("Advance Auto Parts", "Applied Optoelectronics")
    assert not same_name("", "Aaron's")


def test_ratings_are_the_same_without_hyphens() -> None:
    assert same_rating("Equal-Weight", "equalweight rating")
    assert same_rating("“Buy”", "buy")
    assert not same_rating("market outperform", "outperform")


def test_numbers_and_currencies() -> None:
    assert same_number(26.6e9, 26.6 * 1e9)
    assert not same_number(26.6e9, 26.6e8)
    assert same_number(None, None)
    assert not same_number(0.0, None)
    assert same_currency("$", "USD")
    assert not same_currency("HKD", "USD")


def test_pairs_are_one_to_one_and_most_alike_first() -> None:
    likeness = {(0, 0): 1.0, (0, 1): 3.0, (1, 1): 2.0, (1, 0): 0.0}
    assert pair(2, 2, lambda g, f: likeness[g, f]) == [(0, 1)]
    assert pair(0, 3, lambda g, f: 1.0) == []


# --- quantities ------------------------------------------------------------------------------------------------------

MONEY = Amount((10, 26), 26.6e9, "money", "HKD")


def test_a_quantity_needs_span_value_and_currency() -> None:
    assert not score_quantities("x", [MONEY], [MONEY]).misses
    shifted = score_quantities("x", [MONEY], [dataclasses.replace(MONEY, span=(8, 26))])
    assert shifted.fields["quantity"] == Tally(0, 1, 1)
    assert shifted.fields["quantity_value"] == Tally(1, 0, 0)
    for wrong in ({"currency": "USD"}, {"value": 2.66e9}, {"kind": "points"}):
        assert score_quantities("x", [MONEY], [dataclasses.replace(MONEY, **wrong)]).fields["quantity"] == Tally(
            0, 1, 1
        )


def test_lost_superfluous_and_optional_quantities() -> None:
    assert score_quantities("x", [MONEY], []).fields["quantity"] == Tally(0, 0, 1)
    assert score_quantities("x", [], [MONEY]).fields["quantity"] == Tally(0, 1, 0)
    optional = dataclasses.replace(MONEY, is_optional=True)
    assert not score_quantities("x", [optional], []).fields
    assert not score_quantities("x", [optional], [MONEY]).fields
    bare = Amount((3, 5), 7.0, "number")
    assert not score_quantities("x", [], [bare]).fields


# --- claims ----------------------------------------------------------------------------------------------------------

DAY = dt.date(2025, 2, 18)
YTD = GoldWindow(spans=((30, 42),), kinds=("year_to_date",), start=(dt.date(2025, 1, 1), dt.date(2025, 1, 1)))
CLAIM = GoldClaim(
    types=("performance",),
    subjects=("Hang Seng",),
    value=-13.0,
    unit="pct",
    direction="down",
    comparators=("eq",),
    window=YTD,
    source_kind="broker",
    source_names=("大摩",),
    anchors=((0, 9), (20, 23), (30, 42)),
)
FOUND_WINDOW = FoundWindow((30, 42), "year_to_date", dt.date(2025, 1, 1), dt.date(2025, 1, 1))
FOUND_CLAIM = FoundClaim(
    (0, 42), "performance", "The Hang Seng", 13.0, "pct", "down", "eq", DAY, FOUND_WINDOW, "broker", "Morgan Stanley"
)


def claims(gold_claims: list[GoldClaim], found: list[FoundClaim], ignore: tuple[tuple[int, int], ...] = ()) -> Score:
    return score_claims("x", gold_claims, found, ignore, broker_id)


def test_a_right_claim_with_its_sign_in_the_direction() -> None:
    score = claims([CLAIM], [FOUND_CLAIM])
    assert not score.misses
    assert score.fields["claim"] == Tally(1, 0, 0)
    assert score.share("sentence") == 1.0
    assert not claims([CLAIM], [dataclasses.replace(FOUND_CLAIM, value=-13.0)]).misses


def test_a_level_reached_by_a_fall_is_not_negative() -> None:
    level = GoldClaim(types=("level",), subjects=("Hang Seng",), value=16_698.0, comparators=("eq",))
    found = FoundClaim((0, 42), "level", "Hang Seng", 16_698.0, "points", "down", "eq")
    assert not claims([level], [found]).misses
    assert claims([level], [dataclasses.replace(found, value=-16_698.0)]).fields["value"] == Tally(0, 1, 1)


def test_a_bound_of_a_fall_may_be_said_of_the_size_or_of_the_signed_number() -> None:
    more_than = dataclasses.replace(CLAIM, comparators=("at_least",))
    size = dataclasses.replace(FOUND_CLAIM, comparator="at_least")
    signed = dataclasses.replace(FOUND_CLAIM, value=-13.0, comparator="at_most")
    assert not claims([more_than], [size]).misses
    assert not claims([more_than], [signed]).misses
    assert claims([more_than], [dataclasses.replace(size, comparator="at_most")]).misses
    assert claims([more_than], [dataclasses.replace(signed, comparator="at_least")]).misses


def test_a_statement_is_found_by_its_type_wherever_it_stands() -> None:
    stated = GoldClaim(types=("positioning",), anchors=((0, 5),))
    assert not claims([stated], [FoundClaim((30, 60), "positioning", comparator="qualitative")]).misses


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"subject": "DAX"}, ["claim_subject"]),
        ({"direction": "up"}, ["value", "direction"]),
        ({"unit": "points"}, ["unit"]),
        ({"comparator": "approx"}, ["comparator"]),
        ({"window": None}, ["window"]),
        ({"window": dataclasses.replace(FOUND_WINDOW, kind="month_to_date")}, ["window"]),
        ({"window": dataclasses.replace(FOUND_WINDOW, start_earliest=dt.date(2024, 12, 31))}, ["window"]),
        ({"source_kind": "unattributed", "source_name": ""}, ["source"]),
        ({"source_name": "Barclays"}, ["source"]),
    ],
)
def test_a_mistake_in_a_claim_costs_its_own_fields(change: dict[str, object], fields: list[str]) -> None:
    score = claims([CLAIM], [dataclasses.replace(FOUND_CLAIM, **change)])
    assert [miss.field for miss in score.misses] == fields
    assert score.fields["claim"] == Tally(1, 0, 0)
    assert score.share("sentence") == 0.0


@pytest.mark.parametrize("change", [{"type": "level"}, {"value": 31.0}, {"span": (50, 60)}])
def test_another_type_number_or_place_is_another_claim(change: dict[str, object]) -> None:
    score = claims([CLAIM], [dataclasses.replace(FOUND_CLAIM, **change)])
    assert score.fields["claim"] == Tally(0, 1, 1)
    assert score.fields["window"] == Tally(0, 0, 1)


def test_superfluous_claims_are_wrong_unless_left_open() -> None:
    assert claims([], [FOUND_CLAIM]).fields["claim"] == Tally(0, 1, 0)
    assert not claims([], [FOUND_CLAIM], ((0, 30),)).misses
    assert claims([], [FOUND_CLAIM], ((0, 10),)).fields["claim"] == Tally(0, 1, 0)
    assert not claims([], [dataclasses.replace(FOUND_CLAIM, value=None)]).misses
    optional = dataclasses.replace(CLAIM, is_optional=True)
    assert not claims([optional], []).fields
    assert not claims([optional], [FOUND_CLAIM]).misses


def test_a_window_that_the_text_does_not_name_is_wrong_unless_a_day_or_inherited() -> None:
    unwindowed = dataclasses.replace(CLAIM, window=None)
    assert claims([unwindowed], [FOUND_CLAIM]).fields["window"] == Tally(0, 1, 0)
    for forgiven in ({"kind": "day"}, {"is_inherited": True}):
        window = dataclasses.replace(FOUND_WINDOW, **forgiven)
        assert not claims([unwindowed], [dataclasses.replace(FOUND_CLAIM, window=window)]).misses


def test_windows_by_day_length_and_fuzzy_start() -> None:
    day = GoldWindow(kinds=("day",), day=DAY)
    assert same_window(day, None, DAY)
    assert not same_window(day, None, DAY - dt.timedelta(1))
    assert same_window(day, FoundWindow((0, 1), "day", DAY, DAY, DAY), None)
    year = GoldWindow(kinds=("lookback",), months=12)
    assert same_window(year, FoundWindow((0, 1), "lookback", days=365), None)
    assert not same_window(year, FoundWindow((0, 1), "lookback", months=11), None)
    fuzzy = GoldWindow(kinds=("since_date",), start_within=(dt.date(2025, 1, 10), dt.date(2025, 1, 20)))
    inside, outside = dt.date(2025, 1, 13), dt.date(2025, 1, 21)
    assert same_window(fuzzy, FoundWindow((0, 1), "since_date", inside, inside), None)
    assert not same_window(fuzzy, FoundWindow((0, 1), "since_date", inside, outside), None)
    assert not same_window(fuzzy, FoundWindow((0, 1), "since_date"), None)
    last = GoldWindow(last=(DAY,))
    assert not same_window(last, FoundWindow((0, 1), "period"), None)


def test_scores_add_up_and_the_worst_fields_come_first() -> None:
    total = Score()
    total.merge(headline([GOLD], [FOUND]))
    total.merge(headline([GOLD], [dataclasses.replace(FOUND, broker="Barclays")]))
    total.merge(headline([GOLD], []))
    assert total.fields["broker"] == Tally(1, 1, 2)
    assert total.records == {"headline": 3, "headline_right": 1, "rating": 3, "rating_right": 1}
    assert next(iter(worst(total.misses, list(total.fields)))) == "broker"


# --- the labels ------------------------------------------------------------------------------------------------------


def test_own_labels_fit_their_texts() -> None:
    items = gold.load("gold_own.jsonl")
    assert len(items) >= 120
    assert len({item.id for item in items}) == len({item.text for item in items}) == len(items)
    for item in items:
        assert item.has_actions or item.has_claims
        for start, end in (
            *(q.span for q in item.quantities),
            *item.ignore,
            *(a for c in item.claims for a in c.anchors),
        ):
            assert 0 <= start < end <= len(item.text), item.id
        for action in item.actions:
            assert all(action.broker), item.id
        # What is labelled as a number of a claim stands in the text, or the label would score nothing.
        assert bool(item.actions) == bool(item.has_actions and item.is_rating), item.id


@pytest.mark.parametrize("name", ["gold_headlines.jsonl", "gold_sentences.jsonl"])
def test_labels_of_recorded_notes_carry_no_text(name: str) -> None:
    def strings(value: object) -> list[str]:
        if isinstance(value, dict):
            return [text for inner in value.values() for text in strings(inner)]
        if isinstance(value, list):
            return [text for inner in value for text in strings(inner)]
        return [value] if isinstance(value, str) else []

    rows = gold.rows_of(gold.HERE / name)
    assert len({row["id"] for row in rows}) == len(rows) >= 150
    for row in rows:
        assert "text" not in row
        assert len(row.pop("text_sha256")) == 64
        assert all(len(text) <= 20 for text in strings(row)), row["id"]

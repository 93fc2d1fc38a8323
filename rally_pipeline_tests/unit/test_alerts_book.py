"""The book of alerts: whatever the history of problems and targets, each appearance is told once, and its end once."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from rally_pipeline.alerts import book
from rally_pipeline.alerts.delivery import deliver
from rally_pipeline.alerts.model import Alert, DeliveryError, Notice, together
from rally_pipeline.schema.ops_alerts import ops_alert, ops_alert_notice

START = dt.datetime(2025, 2, 14, 6, tzinfo=dt.UTC)
STEP = dt.timedelta(minutes=3)
REMIND = dt.timedelta(minutes=30)
KINDS = ("failed_run", "missing_session")


def alert(kind: str, key: str) -> Alert:
    return Alert(kind, key, "error", f"{kind} of {key}")


class Fickle:
    """A target that takes notices only when it is in the mood."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_up = True
        self.taken: list[Notice] = []

    def send(self, notice: Notice, timeout_seconds: float) -> None:
        if not self.is_up:
            raise DeliveryError("not now")
        self.taken += notice.members or (notice,)

    def abort(self) -> None:
        pass


@pytest.fixture
def connection():
    with _empty() as made:
        yield made


def _empty() -> sa.Connection:
    engine = sa.create_engine("sqlite://")
    connection = engine.connect()
    for table in (ops_alert, ops_alert_notice):
        table.create(connection)
    return connection


def look(connection, current, now, targets, remind=REMIND):
    """One look as `evaluate` does it, with what is wrong given."""
    names = [target.name for target in targets]
    book.write_settled(connection, book.settle(book.read_standing(connection), current, now, remind), now, names)
    for name, told in deliver(targets, book.claim(connection, now, names), 5.0).items():
        book.write_delivered(connection, name, told.delivered, told.left, told.failure, now)


_PROBLEMS = [(kind, key) for kind in KINDS for key in ("a", "b", "c")]
_MOMENTS = st.lists(
    st.tuples(
        st.sets(st.sampled_from(_PROBLEMS)),
        st.sets(st.sampled_from(KINDS)),  # kinds that could not be looked for
        st.sets(st.sampled_from(["log", "smtp"])),  # targets that are away
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=50, deadline=None)
@given(_MOMENTS)
def test_every_appearance_is_told_once_and_its_end_once_to_every_target(moments) -> None:
    targets = [Fickle("log"), Fickle("smtp")]
    expected: Counter[tuple[str, str, str]] = Counter()
    standing: set[tuple[str, str]] = set()
    with _empty() as connection:
        now = START
        for present, blind, away in moments:
            for target in targets:
                target.is_up = target.name not in away
            current = {
                kind: [alert(*one) for one in sorted(present) if one[0] == kind] for kind in KINDS if kind not in blind
            }
            seen = {one for one in present if one[0] not in blind}
            expected.update(("problem", *one) for one in seen - standing)
            gone = {one for one in standing if one[0] not in blind} - seen
            expected.update(("recovered", *one) for one in gone)
            standing = (standing | seen) - gone
            look(connection, current, now, targets, remind=dt.timedelta(days=99))
            now += STEP
        for target in targets:
            target.is_up = True
        # A claim of a target that failed is given back at once: one more look tells all the rest.
        look(connection, {}, now, targets)
        for target in targets:
            told = Counter((one.stage, one.kind, one.problem) for one in target.taken)
            assert told == expected
            assert len({one.notice_id for one in target.taken}) == len(target.taken)
            _in_order(target.taken)
        rows = connection.execute(sa.select(ops_alert)).mappings().all()
        assert {(row["kind"], row["problem"]) for row in rows if row["recovered_at"] is None} == standing
        assert len(rows) == sum(count for (stage, *_), count in expected.items() if stage == "problem")
        assert all(row["sent_at"] is not None for row in rows)


def _in_order(taken: list[Notice]) -> None:
    """Of each problem: told, gone, told, gone, …"""
    for _, of_one in itertools.groupby(sorted(taken, key=lambda n: (n.kind, n.problem)), lambda n: (n.kind, n.problem)):
        stages = [one.stage for one in of_one]
        assert stages == [("problem", "recovered")[number % 2] for number in range(len(stages))]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_a_problem_that_stays_is_told_again_after_the_interval_and_not_before(minutes) -> None:
    target, now, told = Fickle("log"), START, [START]
    with _empty() as connection:
        look(connection, {"failed_run": [alert("failed_run", "a")]}, now, [target])
        for step in minutes:
            now += dt.timedelta(minutes=step)
            if now - told[-1] >= REMIND:
                told.append(now)
            look(connection, {"failed_run": [alert("failed_run", "a")]}, now, [target])
        assert [one.made_at for one in target.taken] == told
        assert [one.stage for one in target.taken] == ["problem"] + ["reminder"] * (len(told) - 1)


def test_what_was_claimed_by_somebody_who_died_is_told_later(connection) -> None:
    target = Fickle("log")
    current = {"failed_run": [alert("failed_run", "a")]}
    book.write_settled(connection, book.settle([], current, START, REMIND), START, ["log"])
    assert book.claim(connection, START, ["log"])
    assert not book.claim(connection, START + STEP, ["log"])  # somebody may be telling it
    look(connection, current, START + dt.timedelta(minutes=16), [target])
    assert [one.stage for one in target.taken] == ["problem"]
    assert connection.scalar(sa.select(ops_alert_notice.c.attempts)) == 2


def test_two_looks_at_once_do_not_tell_twice(connection) -> None:
    current = {"failed_run": [alert("failed_run", "a")]}
    for _ in range(2):  # both looked before either wrote; what stands is read again in the transaction that writes
        book.write_settled(
            connection, book.settle(book.read_standing(connection), current, START, REMIND), START, ["log"]
        )
    assert connection.scalar(sa.select(sa.func.count()).select_from(ops_alert_notice)) == 1


def test_what_could_not_be_told_for_two_weeks_is_given_up(connection) -> None:
    target = Fickle("log")
    target.is_up = False
    look(connection, {"failed_run": [alert("failed_run", "a")]}, START, [target])
    target.is_up = True
    look(connection, {}, START + dt.timedelta(days=15), [target])
    assert target.taken == []
    assert connection.scalar(sa.select(ops_alert_notice.c.given_up_at)) is not None


def test_much_is_told_together(connection) -> None:
    class Counting(Fickle):
        calls = 0

        def send(self, notice: Notice, timeout_seconds: float) -> None:
            self.calls += 1
            super().send(notice, timeout_seconds)

    target = Counting("log")
    look(connection, {"failed_run": [alert("failed_run", f"job_{n}") for n in range(60)]}, START, [target])
    assert target.calls == 1
    assert len(target.taken) == 60


def test_a_heartbeat_a_day_and_an_old_one_is_not_sent_any_more(connection) -> None:
    assert not book.heartbeat_due(connection, START.replace(hour=5), 6)
    assert book.heartbeat_due(connection, START, 6)
    book.write_heartbeat(connection, START, [], "", ["smtp"])
    assert not book.heartbeat_due(connection, START + dt.timedelta(hours=17), 6)
    tomorrow = START + dt.timedelta(days=1)
    assert book.heartbeat_due(connection, tomorrow, 6)
    book.write_heartbeat(connection, tomorrow, [alert("failed_run", "a")], "", ["smtp"])
    (notice,) = book.claim(connection, tomorrow, ["smtp"])["smtp"]
    assert notice.title == "alerts are delivered; 1 problem now"
    book.write_delivered(connection, "smtp", [notice], [], "", tomorrow)
    (state,) = book.target_states(connection, ["smtp"])
    assert (state.heartbeat_at, state.waiting) == (tomorrow, 0)


def test_names_from_files_cannot_break_an_alert() -> None:
    hostile = Alert(
        "rejected_file", "notes/a\r\nBcc: x@y\x00\ud800" + "é" * 400, "warn", "a\r\nBcc: x\u2028y", "b\x1b[31m\n"
    )
    assert "\n" not in hostile.key
    assert len(hostile.key) <= 200
    assert "\r" not in hostile.title
    assert "\n" not in hostile.title
    assert hostile.text == "b�[31m"
    other = Alert("rejected_file", "notes/a\r\nBcc: x@y\x00\ud800" + "é" * 401, "warn", "a")
    assert other.key != hostile.key
    assert Alert("rejected_file", hostile.key, "warn", "").key == hostile.key  # what was read from the book is itself
    (hostile.key + hostile.title + hostile.text).encode()


def test_notices_told_together_name_each_and_bound_their_number() -> None:
    notices = [
        Notice(f"{n:064}", f"{n:064}", "problem", "failed_run", f"j{n}", "error", f"title {n}", "", "", START)
        for n in range(100)
    ]
    one = together(notices)
    assert one.title == "100 notices: 100 problem"
    assert "title 39" in one.text
    assert "60 more" in one.text
    assert len(one.members) == 100

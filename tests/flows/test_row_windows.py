"""A monitor that counts its windows by rows decides once on each block, however often it runs."""

from datetime import timedelta
from pathlib import Path

import pytest

from components.data.blocks import MOMENT
from components.data.compaction import compact
from components.data.ledger import Ledger
from components.records.watching import Decision, Window, WindowFacts
from components.settings.environment import Environment
from flows.folders import outbox
from flows.tasks.watching import window_until
from tests.components.data.ledgers import SCHEMA, START, asked
from tests.components.monitoring.made import project

HOUR = timedelta(hours=1)
LATER = START + timedelta(days=30)
POLICY = project(window_rows=20)


def test_a_block_is_looked_at_again_until_the_next_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Also when rows of an older event time came late; and no two blocks that were decided on share a row."""
    monkeypatch.setenv("EVERFIT_HOME", str(tmp_path))
    _answer(25)
    first = window_until(POLICY, LATER)
    _decide(first, rows=20)
    again = window_until(POLICY, LATER)
    _answer(4, at=START + HOUR / 2)
    _answer(19, at=START + 25 * HOUR)
    second = window_until(POLICY, LATER)

    assert first == again == Window(START, START + 19 * HOUR + MOMENT)
    assert second == Window(first.end, START + 39 * HOUR + MOMENT)
    assert window_until(POLICY, START + 10 * HOUR) == Window(START, START + 9 * HOUR + MOMENT)


def test_a_window_that_was_not_full_grows_and_is_no_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Six rows were decided on because there were no more; they stand in the first full block all the same."""
    monkeypatch.setenv("EVERFIT_HOME", str(tmp_path))
    _answer(6)
    few = window_until(POLICY, LATER)
    _decide(few, rows=6)
    _answer(14, at=START + 6 * HOUR)

    assert few == Window(START, START + 5 * HOUR + MOMENT)
    assert window_until(POLICY, LATER) == Window(START, START + 19 * HOUR + MOMENT)


def test_without_a_single_row_the_window_is_a_stretch_of_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A window must have a beginning and an end, and that nobody asked is a fact too."""
    monkeypatch.setenv("EVERFIT_HOME", str(tmp_path))

    assert window_until(POLICY, LATER) == Window(LATER - timedelta(days=7), LATER)
    assert window_until(project(), LATER) == Window(LATER - timedelta(days=7), LATER)


def _answer(rows: int, **changes) -> None:
    folder = Environment().ledger("flights")
    ledger = Ledger(folder)
    ledger.record(asked(rows, **changes))
    ledger.close()
    compact(folder, SCHEMA)


def _decide(window: Window, *, rows: int) -> None:
    facts = WindowFacts(window, 1, rows, 0)
    outbox("flights").add(Decision(f"{window.end}", "flights", window, 1, "keep", "no, because", (), facts))

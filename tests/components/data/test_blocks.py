"""Windows by rows follow each other, share no row, and stay the same however often they are asked for."""

from datetime import timedelta
from itertools import pairwise

import polars as pl
import pytest

from components.data.blocks import MOMENT, blocks, newest_block, rows_before
from components.data.compaction import compact
from components.data.ledger import Ledger
from components.data.windows import read_window
from components.records.watching import Window
from tests.components.data.ledgers import SCHEMA, START, asked, micros

HOUR = timedelta(hours=1)
LATER = START + timedelta(days=30)


def times(*hours: float) -> pl.Series:
    """Event times so many hours after the start."""
    return pl.Series([START + hour * HOUR for hour in hours], dtype=pl.Datetime("us", "UTC"))


@pytest.fixture
def ledger(tmp_path):
    """An empty ledger."""
    ledger = Ledger(tmp_path)
    yield ledger
    ledger.close()


def test_blocks_hold_their_rows_and_the_rest_waits():
    """Seven rows make two blocks of three; the seventh belongs to a block that is not full yet."""
    found = blocks(times(0, 1, 2, 3, 4, 5, 6), 3)

    assert found == [
        Window(START, START + 2 * HOUR + MOMENT),
        Window(START + 2 * HOUR + MOMENT, START + 5 * HOUR + MOMENT),
    ]


def test_rows_of_one_moment_stay_together():
    """A block ends with all rows of its last moment: no row can be told from another of the same time."""
    found = blocks(times(0, 1, 1, 1, 2, 3), 2)

    assert found == [Window(START, START + HOUR + MOMENT), Window(START + HOUR + MOMENT, START + 3 * HOUR + MOMENT)]
    assert blocks(times(0, 0, 0), 3) == [Window(START, START + MOMENT)]
    assert blocks(times(), 3) == []


def test_asking_again_gives_the_same_block_until_the_next_is_full(ledger, tmp_path):
    """A monitor that runs each hour decides once on each block, and on blocks that share no row."""
    ledger.record(asked(25))
    compact(tmp_path, SCHEMA)
    first = newest_block(tmp_path, 20, until=LATER)
    again = newest_block(tmp_path, 20, until=LATER, after=first)

    ledger.record(asked(30, at=START + 25 * HOUR))
    compact(tmp_path, SCHEMA)
    second = newest_block(tmp_path, 20, until=LATER, after=first)

    assert first == again == Window(START, START + 19 * HOUR + MOMENT)
    assert second == Window(first.end, START + 39 * HOUR + MOMENT)
    assert [read_window(tmp_path, each, schema=SCHEMA).height for each in (first, second)] == [20, 20]
    assert newest_block(tmp_path, 20, until=LATER, after=second) == second


def test_rows_that_come_late_move_no_block_that_was_decided_on(ledger, tmp_path):
    """A row of yesterday that comes today stands in yesterday's block, and the next still begins where that ended."""
    ledger.record(asked(40))
    compact(tmp_path, SCHEMA)
    first = newest_block(tmp_path, 20, until=START + 20 * HOUR)
    ledger.record(asked(3, at=START + HOUR / 2))
    compact(tmp_path, SCHEMA)

    second = newest_block(tmp_path, 20, until=LATER, after=first)

    assert second.start == first.end
    assert read_window(tmp_path, first, schema=SCHEMA).height == 23
    assert read_window(tmp_path, second, schema=SCHEMA).height == 20


def test_of_fewer_rows_than_a_block_the_window_is_what_there_is(ledger, tmp_path):
    """Six predictions are six predictions, and none is no window; what a shadow answers is none."""
    assert newest_block(tmp_path, 20, until=LATER) is None
    ledger.record(asked(6))
    ledger.record(asked(2, at=START + 8 * HOUR, variant="shadow", version=2))
    compact(tmp_path, SCHEMA)

    found = newest_block(tmp_path, 20, until=LATER)

    assert found == Window(START, START + 5 * HOUR + MOMENT)
    assert newest_block(tmp_path, 20, until=START) is None


def test_of_several_new_blocks_the_newest_is_looked_at(ledger, tmp_path):
    """A monitor that was away for a month looks at the present."""
    ledger.record(asked(100))
    compact(tmp_path, SCHEMA)

    found = newest_block(tmp_path, 20, until=LATER)

    assert found == Window(START + 79 * HOUR + MOMENT, START + 99 * HOUR + MOMENT)


def test_the_rows_before_a_moment_are_found_by_their_number(ledger, tmp_path):
    """Fewer than asked for are none: a reference of a handful says nothing."""
    ledger.record(asked(30))
    compact(tmp_path, SCHEMA)

    found = rows_before(tmp_path, 10, until=START + 20 * HOUR)

    assert found == Window(START + 10 * HOUR, START + 20 * HOUR)
    assert rows_before(tmp_path, 10, until=START + 9 * HOUR) is None


def test_a_long_history_is_divided_in_one_pass():
    """A year of a row a minute in blocks of 1,000; each begins where the last one ended."""
    minutes = pl.int_range(525_600, eager=True) * 60_000_000 + micros(START)

    found = blocks(minutes.cast(pl.Datetime("us", "UTC")), 1_000)

    assert len(found) == 525
    assert all(one.end == next_.start for one, next_ in pairwise(found))

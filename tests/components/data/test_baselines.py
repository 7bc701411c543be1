"""The rows that a window is compared with: those before it, those of its season, or the training rows."""

from datetime import timedelta

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from components.data.baselines import baseline
from components.data.compaction import compact
from components.data.ledger import Ledger
from components.records.rows import Column, Schema
from components.records.watching import Window
from tests.components.data.ledgers import SCHEMA, START, asked, micros
from tests.components.monitoring.made import project

DAY = timedelta(days=1)
NOW = Window(START + 365 * DAY, START + 366 * DAY)
YEAR = {"reference": "same-season", "season": timedelta(days=364), "trigger": {"min_rows": 10}}


@pytest.fixture
def ledger(tmp_path):
    """An empty ledger."""
    ledger = Ledger(tmp_path / "ledger")
    yield ledger
    ledger.close()


def found(folder, window=NOW, schema=SCHEMA, **monitoring):
    """The reference of a window, after a compaction."""
    compact(folder / "ledger", schema)
    settings = project(**monitoring)
    return baseline(settings, schema, window, ledger=folder / "ledger", tables=folder / "tables")


def table(folder, rows: int, **more) -> None:
    """A version of the project's table, an hour a row, from the day that lies a season before the window."""
    at = [NOW.start - 364 * DAY + timedelta(hours=row) for row in range(rows)]
    frame = pl.DataFrame({"departure": at, "temp": [-7.0] * rows} | more)
    write_deltalake(folder / "tables", frame, mode="overwrite", schema_mode="overwrite")


def test_training_is_the_reference_unless_another_is_asked_for(ledger, tmp_path):
    """None stands for the rows that travel with the version."""
    ledger.record(asked(24, at=NOW.start - DAY))

    assert found(tmp_path, trigger={"min_rows": 10}) is None


def test_the_window_before_is_as_long_as_this_one(ledger, tmp_path):
    """And where windows are counted by rows, it has as many; with too few rows the training rows are taken."""
    ledger.record(asked(48, at=NOW.start - 2 * DAY, inputs={"temp": [*map(float, range(48))], "carrier": ["AA"] * 48}))
    settings = {"reference": "previous", "trigger": {"min_rows": 10}}

    by_time = found(tmp_path, **settings)
    by_rows = found(tmp_path, **settings, window_rows=30)
    sampled = found(tmp_path, **settings, sample_rows=100)

    assert (by_time.name, sorted(by_time.rows["temp"])) == ("previous", [*map(float, range(24, 48))])
    assert sorted(by_rows.rows["temp"]) == [*map(float, range(18, 48))]
    assert sampled.rows.height == 24
    assert found(tmp_path, reference="previous", trigger={"min_rows": 25}) is None
    assert found(tmp_path, **settings, window_rows=49) is None


def test_of_a_long_window_some_rows_are_drawn_and_the_same_ones_each_time(ledger, tmp_path):
    """From all of its length, whatever files they stand in: a report can be repeated."""
    for part in range(2):
        first = 1_000 * part
        inputs = {"temp": [*map(float, range(first, first + 1_000))], "carrier": ["AA"] * 1_000}
        ledger.record(asked(1_000, at=NOW.start - DAY, inputs=inputs, timestamps=[micros(NOW.start - DAY)] * 1_000))
        compact(tmp_path / "ledger", SCHEMA)
    settings = {"reference": "previous", "trigger": {"min_rows": 10}, "sample_rows": 100}

    drawn = found(tmp_path, **settings).rows["temp"]
    DeltaTable(tmp_path / "ledger" / "predictions").optimize.compact()

    assert found(tmp_path, **settings).rows["temp"].to_list() == drawn.to_list()
    assert drawn.n_unique() == 100
    assert 30 <= (drawn < 1_000).sum() <= 70  # 50 are expected; four standard deviations are 20


def test_the_same_season_comes_from_the_ledger_else_from_the_table(ledger, tmp_path):
    """The ledger of a new model knows no last year; its table does."""
    assert found(tmp_path, **YEAR) is None
    table(tmp_path, 48, carrier=["UA"] * 48)
    of_table = found(tmp_path, **YEAR)
    ledger.record(asked(24, at=NOW.start - 364 * DAY))
    of_ledger = found(tmp_path, **YEAR)

    assert (of_table.name, of_table.rows.height) == ("same-season", 24)
    assert of_table.rows["carrier"].unique().to_list() == ["UA"]
    assert of_ledger.rows["carrier"].unique().to_list() == ["AA"]


def test_a_season_with_too_few_rows_gives_way_to_training(ledger, tmp_path):
    """A reference must not say less than a window may."""
    table(tmp_path, 9, carrier=["UA"] * 9)

    assert found(tmp_path, **YEAR) is None
    assert found(tmp_path, Window(NOW.start + 100 * DAY, NOW.end + 100 * DAY), **YEAR) is None


def test_a_table_that_does_not_fit_the_version_is_no_reference_or_lacks_a_column(ledger, tmp_path):
    """A column that came later is missing in each row of it; one that was something else leaves it unused."""
    table(tmp_path, 24)
    wider = found(tmp_path, **YEAR)
    text = Schema((Column("carrier", "number"),), "late", "binary", "departure")
    table(tmp_path, 24, carrier=["UA"] * 24)

    assert wider.rows["carrier"].null_count() == 24
    assert found(tmp_path, schema=text, **YEAR) is None

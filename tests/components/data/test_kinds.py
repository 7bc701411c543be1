"""Each column has one type in our tables, whatever the source called it."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from components.data.kinds import typed, typed_as
from components.data.schema import infer_schema
from components.errors import SchemaMismatch
from components.settings.project import DataSettings
from tests.components.data.rides import BEGIN, project, rides


def settings(**data: Any) -> DataSettings:
    """The data settings of the rides."""
    return project(Path(), **data).data


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pl.col("began").dt.replace_time_zone(None), r"'began' must hold event times with a zone, but .*2026"),
        (pl.col("began").dt.date(), "'began' must hold event times, but holds Date"),
        (pl.lit("yesterday").alias("began"), "'began' must hold event times in ISO 8601 with a zone, but holds 'yest"),
        (pl.col("began").replace(BEGIN, None), "'began' must hold an event time in every row, but 1 of 400"),
        (pl.lit(2).alias("long"), r"'long' must hold 0 and 1, but 400 of 400 rows hold others \(2"),
        (pl.lit([1]).alias("warm"), "'warm' must hold numbers or text, but holds List"),
        (pl.lit(BEGIN).alias("warm"), "'warm' must hold numbers or text, but holds Datetime"),
        (pl.lit(None).alias("warm"), "'warm' must hold numbers or text, but holds Null.*say its kind, or drop it"),
        (pl.lit([1]).alias("ride"), "'ride' must hold text, but holds List"),
        (pl.lit("7 C").alias("riders"), r"'riders' must hold numbers, but 400 of 400 rows do not \('7 C'\)"),
    ],
)
def test_a_column_that_cannot_be_read_is_named_with_what_it_holds(column: pl.Expr, message: str):
    """What was wanted, what was found, in how many rows."""
    data = settings(columns={"riders": {"kind": "number"}})

    with pytest.raises(SchemaMismatch, match=f"^march: .*{message}.*; mend the source, or data in the project file"):
        typed(rides().with_columns(column), data, "march")


def test_all_mistakes_of_a_table_are_told_at_once():
    """Nobody wants to find them one run at a time."""
    frame = rides().drop("ride").with_columns(warm=pl.lit([1]), long=pl.lit(3))

    with pytest.raises(SchemaMismatch, match=r"'ride' is wanted, but not there; .*'warm' must.*'long' must"):
        typed(frame, settings(), "march")


def test_columns_keep_their_order():
    """The graph's inputs follow it."""
    assert typed(rides(), settings(), "march").columns == rides().columns


@pytest.mark.parametrize(
    "times",
    [
        pl.Series(["2026-03-01T02:00:00+02:00", "2026-03-01T03:00:00+02:00"]),
        pl.Series(["2026-03-01T00:00:00Z", "2026-03-01T01:00:00Z"]),
        pl.Series([BEGIN, BEGIN + timedelta(hours=1)]).dt.convert_time_zone("America/New_York"),
        pl.Series([BEGIN, BEGIN + timedelta(hours=1)]).dt.cast_time_unit("ms"),
    ],
)
def test_times_of_any_zone_become_utc(times: pl.Series):
    """Also as text, if it names the zone."""
    frame = typed(rides(2).with_columns(began=times), settings(), "march")

    assert frame.schema["began"] == pl.Datetime("us", "UTC")
    assert frame["began"].to_list() == [BEGIN, BEGIN + timedelta(hours=1)]


def test_missing_is_null_whatever_it_was():
    """NaN, an empty text and null are one thing."""
    frame = rides(3).with_columns(warm=pl.Series([float("nan"), None, 1.0]), station=pl.Series(["", None, "a"]))

    table = typed(frame, settings(), "march")

    assert table["warm"].to_list() == [None, None, 1.0]
    assert table["station"].to_list() == [None, None, "a"]


@pytest.mark.parametrize("values", [[1, 3, None], [1.0, 3.0, None], [1.0, 3.0, float("nan")], ["1", "3", ""]])
def test_a_number_read_as_a_category_is_text_without_a_fraction(values: list[Any]):
    """3 and 3.0 are one category: a missing value beside it turns whole numbers into floats in many tools."""
    data = settings(columns={"riders": {"kind": "category"}})

    table = typed(rides(3).with_columns(riders=pl.Series(values)), data, "march")

    assert table["riders"].to_list() == ["1", "3", None]


def test_text_read_as_numbers_is_numbers():
    """With nothing where it is empty."""
    data = settings(columns={"riders": {"kind": "number"}})

    table = typed(rides(3).with_columns(riders=pl.Series(["1", "2.5", ""])), data, "march")

    assert table["riders"].to_list() == [1.0, 2.5, None]


@pytest.mark.parametrize("values", [[1, 0, None], [1.0, 0.0, float("nan")], [True, False, None], ["1", "0", ""]])
def test_a_binary_target_is_0_or_1_or_missing(values: list[Any]):
    """However the source writes it."""
    table = typed(rides(3).with_columns(long=pl.Series(values)), settings(), "march")

    assert table.schema["long"] == pl.Int64
    assert table["long"].to_list() == [1, 0, None]


def test_typing_twice_changes_nothing():
    """Rows that come back from the ledger fit under the table's."""
    once = typed(rides(), settings(), "march")

    assert_frame_equal(typed(once, settings(), "march"), once)


def test_rows_to_predict_are_typed_by_the_models_schema():
    """Features in the schema's order, then time and id; the target and other columns are left out."""
    schema = infer_schema(typed(rides(), settings(), "march"), settings())
    asked = rides(2).with_columns(riders=pl.Series(["2", ""]), station=pl.Series([7.0, None]), more=1)

    found = typed_as(asked, schema, "april")

    assert found.columns == ["station", "warm", "riders", "member", "began", "ride"]
    assert found["riders"].to_list() == [2.0, None]
    assert found["station"].to_list() == ["7", None]


def test_rows_to_predict_need_neither_time_nor_id_but_every_feature():
    """All that is wrong is told at once, and what there is instead."""
    schema = infer_schema(typed(rides(), settings(), "march"), settings())
    asked = rides(2).drop("began", "ride", "station").with_columns(warm=pl.lit("mild"), stop=1)

    with pytest.raises(SchemaMismatch, match=r"april: column 'station' is wanted, but not there; column 'warm' must "):
        typed_as(asked, schema, "april")
    with pytest.raises(SchemaMismatch, match=r"it holds .*stop: give it the columns"):
        typed_as(asked, schema, "april")
    assert typed_as(rides(2).drop("began", "ride"), schema, "april").height == 2

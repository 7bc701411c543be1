"""What a row looks like is learned from the table; a table that is something else is refused with all its mistakes."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from components.data.kinds import typed
from components.data.schema import MOST_VALUES, check_frame, infer_schema
from components.errors import SchemaMismatch
from components.records.rows import Schema
from components.settings.project import DataSettings
from tests.components.data.rides import project, rides


def settings(**data: Any) -> DataSettings:
    """The data settings of the rides."""
    return project(Path(), **data).data


def table(**data: Any) -> tuple[pl.DataFrame, DataSettings]:
    """The rides as ingest types them."""
    known = settings(**data)
    return typed(rides().drop("minutes"), known, "rides"), known


def test_features_are_all_columns_but_those_with_another_part():
    """Target, timestamp, id and dropped columns are not features; the rest keeps its order."""
    schema = infer_schema(*table())

    assert [column.name for column in schema.features] == ["station", "warm", "riders", "member"]
    assert [column.kind for column in schema.features] == ["category", "number", "number", "category"]
    assert (schema.target, schema.timestamp, schema.id, schema.classes) == ("long", "began", "ride", ())


def test_a_column_is_described_by_what_was_seen():
    """Range and median of a number; values of a category, the most frequent first."""
    frame, data = table()
    station, warm, *_ = infer_schema(
        frame.with_columns(warm=pl.Series([None] * 100 + [1.0] * 200 + [9.0] * 100)), data
    ).features

    assert station.values == ("north", "south", "river")
    assert station.example == "north"
    assert (warm.low, warm.high, warm.example, warm.missing_share) == (1.0, 9.0, 1.0, 0.25)


def test_equally_frequent_values_are_listed_by_the_alphabet():
    """The same table gives the same schema, always."""
    frame, data = table()
    schema = infer_schema(frame.with_columns(station=pl.Series(["b", "c", "a", "d"] * 100)), data)

    assert schema.features[0].values == ("a", "b", "c", "d")


def test_many_values_are_not_listed():
    """A list of thousands would help nobody; the example is still there."""
    frame, data = table()
    names = pl.Series([f"s{number % (MOST_VALUES + 1)}" for number in range(400)])

    station = infer_schema(frame.with_columns(station=names), data).features[0]

    assert station.values == ()
    assert station.example == "s0"


def test_the_project_file_says_what_may_be_missing():
    """What is not said may be missing: the graph fills gaps."""
    schema = infer_schema(*table(columns={"station": {"nullable": False}}))

    assert [column.nullable for column in schema.features] == [False, True, True, True]


def test_classes_are_those_of_the_table():
    """In the order of the alphabet."""
    data = settings(target={"column": "station", "kind": "multiclass"})

    schema = infer_schema(typed(rides().drop("minutes"), data, "rides"), data)

    assert schema.classes == ("north", "river", "south")


def test_a_schema_survives_json():
    """It travels with the model as a file."""
    schema = infer_schema(*table())

    assert Schema.from_json(schema.to_json()) == schema


def test_a_table_without_features_is_refused():
    """The message lists what is there."""
    frame, data = table()

    with pytest.raises(SchemaMismatch, match=r"must hold a feature, but .*'long'\] leave none"):
        infer_schema(frame.select("ride", "began", "long"), data)


def test_a_table_that_was_not_typed_is_refused():
    """A schema is learned from what ingest wrote, so that its kinds are those of the table."""
    with pytest.raises(
        SchemaMismatch, match=r"'riders' must be read as numbers .* but is Int64; ingest the table first"
    ):
        infer_schema(rides(), settings())


def test_the_table_a_schema_was_learned_from_fits_it():
    """Also when values are missing."""
    frame, data = table()
    frame = frame.with_columns(warm=pl.when(pl.int_range(pl.len()) > 5).then("warm"))

    check_frame(frame, infer_schema(frame, data), where="rides", data=data)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (
            pl.lit(200.0).alias("warm"),
            r"'warm' must be at most 60, but 400 of 400 rows are not \(from 200 to 200\)",
        ),
        (pl.lit(-90.0).alias("warm"), "'warm' must be at least -40, but 400 of 400 rows are not"),
        (pl.lit(float("inf")).alias("riders"), "'riders' must be finite, but 400 of 400 rows are not"),
        (pl.lit("warm").alias("warm"), "'warm' must be Float64, but is String"),
        (pl.lit(None, pl.String).alias("station"), "'station' must not be missing, but 400 of 400 rows are"),
        (pl.lit(7).cast(pl.Int64).alias("long"), "'long' must be 0 or 1, but 400 of 400"),
        (pl.col("began").dt.replace_time_zone(None), "'began' must be Datetime.*, but is Datetime"),
    ],
)
def test_what_does_not_fit_is_named_with_values_and_counts(column: pl.Expr, message: str):
    """What was wanted, what was found, in how many rows, where to change it."""
    frame, data = table(columns={"warm": {"low": -40, "high": 60}, "station": {"nullable": False}})
    schema = infer_schema(frame, data)

    with pytest.raises(SchemaMismatch, match=rf"^march: .*{message}.*data.columns in the project file"):
        check_frame(frame.with_columns(column), schema, where="march", data=data)


def test_all_mistakes_are_told_at_once():
    """Two columns gone, one mistyped: three sentences."""
    frame, data = table()
    schema = infer_schema(frame, data)

    with pytest.raises(SchemaMismatch) as caught:
        check_frame(frame.drop("warm", "station").with_columns(riders=pl.lit("a")), schema, where="march", data=data)

    assert str(caught.value).count("column '") == 3
    assert "column 'warm' is wanted, but not there" in str(caught.value)


def test_rows_without_a_target_can_be_checked():
    """Rows to predict have none yet."""
    frame, data = table()

    check_frame(frame.drop("long"), infer_schema(frame, data), where="march", data=data)


def test_more_columns_than_the_schema_knows_do_no_harm():
    """A window carries predictions and labels beside the inputs."""
    frame, data = table()

    check_frame(frame.with_columns(probability=0.5), infer_schema(frame, data), where="march", data=data)

"""A window is held against the schema that training had, and whatever stands in it, that ends in sentences."""

from pathlib import Path

import polars as pl
import pytest

from components.monitoring.breaks import breaks_of
from tests.components.monitoring.made import answered, files_of, project, rows

BOUNDS = {"temp": {"low": -60, "high": 140}, "origin": {"nullable": False}}


def told(frame: pl.DataFrame, folder: Path) -> tuple[str, ...]:
    """What a window is said to break."""
    schema = files_of(folder).schema
    return breaks_of(frame, schema, project(columns=BOUNDS).data)


def test_sound_rows_break_nothing(tmp_path: Path):
    """The live rows have no target, and that is no break."""
    assert told(answered(rows(200)), tmp_path) == ()


def test_each_check_that_fails_is_one_sentence_with_its_numbers(tmp_path: Path):
    """The words are those with which a training table would have been refused."""
    damaged = answered(rows(200)).with_columns(
        temp=pl.when(pl.int_range(pl.len()) < 20).then(999.0).otherwise("temp"),
        wind=pl.when(pl.int_range(pl.len()) < 5).then(float("inf")).otherwise("wind"),
    )

    assert told(damaged.drop("tail"), tmp_path) == (
        "column 'tail' is wanted, but not there",
        "column 'temp' must be at most 140, but 20 of 200 rows are not (from 999 to 999)",
        "column 'wind' must be finite, but 5 of 200 rows are not (from inf to inf)",
    )


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (pl.lit("warm").alias("temp"), "column 'temp' must be Float64, but is String"),
        (pl.lit([1, 2]).alias("temp"), "column 'temp' must be Float64, but is List"),
        (pl.lit(None).alias("temp"), "column 'temp' must be Float64, but is Null"),
        (pl.lit(3.0).alias("origin"), "column 'origin' must be String, but is Float64"),
    ],
    ids=["text", "list", "null", "number"],
)
def test_rows_of_another_type_are_told_and_not_raised(tmp_path: Path, damage: pl.Expr, sentence: str):
    """Bad input never takes the monitor down."""
    found = told(answered(rows(100)).with_columns(damage), tmp_path)

    assert any(sentence in each for each in found), found


def test_rows_that_cannot_even_be_checked_are_a_sentence_too(tmp_path: Path):
    """A frame of no columns at all."""
    found = told(pl.DataFrame(), tmp_path)

    assert found
    assert all(isinstance(each, str) for each in found)

"""Rows that were learned from are found in the part that is to judge."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from components.data.overlaps import seen_share
from components.data.splits import write_part
from components.records.rows import Split
from tests.components.data.rides import rides
from tests.components.data.test_splits import divide


def parts_of(folder: Path, id: str | None = "ride") -> Split:
    """Rides divided by time."""
    if id:
        return divide(folder)
    parts = divide(folder)
    return replace(parts, schema=replace(parts.schema, id=None))


@pytest.mark.parametrize("id", ["ride", None])
def test_parts_of_a_split_share_no_row(tmp_path: Path, id: str | None):
    """Neither by their ids nor by what they hold."""
    parts = parts_of(tmp_path, id)

    assert seen_share(parts.test, parts.train, parts.schema) == 0
    assert seen_share(parts.validation, parts.train, parts.schema) == 0


@pytest.mark.parametrize("id", ["ride", None])
def test_training_rows_are_known_again(tmp_path: Path, id: str | None):
    """Also in another order, with other labels, and mixed with rows that are new."""
    parts = parts_of(tmp_path, id)
    train, test = pl.read_parquet(parts.train.path), pl.read_parquet(parts.test.path)
    relabelled = train.head(24).with_columns(long=1 - pl.col("long"))
    mixed = write_part(
        pl.concat([test, relabelled]).sample(fraction=1, shuffle=True), tmp_path / "mixed.parquet", "began"
    )

    assert seen_share(parts.train, parts.train, parts.schema) == 1
    assert seen_share(mixed, parts.train, parts.schema) == 24 / 96


def test_a_renamed_row_is_another_one_where_rows_have_ids(tmp_path: Path):
    """The id says which row it is: two rides may well look the same."""
    parts = parts_of(tmp_path)
    renamed = pl.read_parquet(parts.train.path).with_columns(ride=pl.col("ride") + "x")

    part = write_part(renamed, tmp_path / "renamed.parquet", "began")

    assert seen_share(part, parts.train, parts.schema) == 0
    assert seen_share(part, parts.train, replace(parts.schema, id=None)) == 1


def test_rows_without_an_id_are_known_by_what_they_hold(tmp_path: Path):
    """A missing id is no name that rows could share."""
    parts = parts_of(tmp_path)
    train, test = pl.read_parquet(parts.train.path), pl.read_parquet(parts.test.path)
    nameless = pl.lit(None, pl.String).alias("ride")
    learned = write_part(train.with_columns(nameless), tmp_path / "learned.parquet", "began")
    fresh = write_part(test.with_columns(nameless), tmp_path / "fresh.parquet", "began")

    assert seen_share(fresh, learned, parts.schema) == 0
    assert seen_share(learned, learned, parts.schema) == 1


def test_missing_values_are_equal_to_each_other(tmp_path: Path):
    """A row with a gap is known again by the rest of it and the gap."""
    frame = rides().with_columns(warm=pl.when(pl.int_range(pl.len()) % 3 == 0).then("warm"))
    parts = divide(tmp_path, frame)

    assert seen_share(parts.train, parts.train, replace(parts.schema, id=None)) == 1

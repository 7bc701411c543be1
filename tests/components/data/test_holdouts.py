"""The same rows are kept back from every version, whatever table, process or machine they are met in."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from components.data.holdouts import kept_back, row_numbers
from components.data.kinds import typed
from components.data.schema import infer_schema
from components.records.rows import Schema
from tests.components.data.rides import project, rides

ROOT = Path(__file__).parents[3]


def table(frame: pl.DataFrame, **data: object) -> tuple[pl.DataFrame, Schema]:
    """Typed rides and their schema."""
    settings = project(Path(), **data).data
    rows = typed(frame.drop("minutes"), settings, "rides")
    return rows, infer_schema(rows, settings)


@pytest.mark.parametrize("id", ["ride", None])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_about_that_share_is_kept_back(id: str | None, share: float):
    """By an id that counts up, and by what a row holds."""
    rows, schema = table(rides(20_000) if id else rides(20_000).drop("ride"), id=id)

    kept = kept_back(rows, schema, share)

    # Four standard deviations of a binomial.
    assert kept.mean() == pytest.approx(share, abs=4 * (share * (1 - share) / 20_000) ** 0.5)


@pytest.mark.parametrize("id", ["ride", None])
def test_a_row_stays_in_or_out_in_a_larger_table_of_another_order(id: str | None):
    """What stands beside a row, and how many rows there are, does not matter."""
    rows, schema = table(rides(1_000), id=id)
    fewer = rows.head(300).sample(fraction=1, shuffle=True, seed=3)

    alone, among = kept_back(fewer, schema, 0.2), kept_back(rows, schema, 0.2)

    assert set(fewer.filter(alone)["ride"]) == set(rows.filter(among)["ride"]) & set(fewer["ride"])
    assert alone.any()


def test_a_larger_share_keeps_the_rows_of_a_smaller_one():
    """So that what was kept from older versions stays kept from them."""
    rows, schema = table(rides(2_000))

    few, many = (set(rows.filter(kept_back(rows, schema, share))["ride"]) for share in (0.1, 0.2))

    assert few < many


def test_numbers_are_the_same_in_another_process():
    """Python's own hash of a text changes with each start; this one is pinned."""
    rows, schema = table(rides(5))
    code = (
        "from tests.components.data.test_holdouts import *\n"
        "print(*row_numbers(*table(rides(5))), *row_numbers(*table(rides(5), id=None)))"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    here = [*row_numbers(rows, schema), *row_numbers(*table(rides(5), id=None))]
    assert done.stdout.split() == [str(number) for number in here]
    # By hand: splitmix64(crc32(b"r00000")).
    assert int(here[0]) == 375306411190703071


def test_a_corrected_label_moves_no_row():
    """The target is not part of what a row is called."""
    rows, schema = table(rides(500), id=None)

    moved = row_numbers(rows.with_columns(long=1 - pl.col("long")), schema) != row_numbers(rows, schema)

    assert not moved.any()


def test_rows_without_an_id_are_told_by_what_they_hold():
    """An application may send no id with some rows; those with one keep theirs."""
    rows, schema = table(rides(500))
    nameless = rows.with_columns(ride=pl.when(pl.int_range(pl.len()) % 2 == 0).then("ride"))

    numbers = row_numbers(nameless, schema)

    assert np.array_equal(numbers[::2], row_numbers(rows, schema)[::2])
    assert np.unique(numbers[1::2]).size == 250


def test_missing_and_zero_are_told_apart_and_the_two_zeros_are_one():
    """-0.0 equals 0.0; a missing value equals neither."""
    rows, schema = table(rides(3), id=None)
    same = rows[[0, 0, 0]].with_columns(warm=pl.Series([0.0, -0.0, None]), station=pl.lit(None, pl.String))

    zero, minus_zero, missing = row_numbers(same, schema)

    assert zero == minus_zero
    assert zero != missing

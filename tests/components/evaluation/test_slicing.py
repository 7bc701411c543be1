"""Slices: how they are named, and which ones a search finds."""

import numpy as np
import polars
import pytest

from components.errors import SchemaMismatch
from components.evaluation.slicing import declared_slices, find_slices, slice_labels

ROWS = 6_000
COLUMNS = ("origin", "temp", "hour", "weekday")


def rows(seed=0):
    """Columns that have nothing to do with each other."""
    random = np.random.default_rng(seed)
    return polars.DataFrame(
        {
            "origin": random.choice(["EWR", "JFK", "LGA"], ROWS).tolist(),
            "temp": random.normal(50, 10, ROWS),
            "hour": random.integers(0, 24, ROWS),
            "weekday": random.integers(1, 8, ROWS),
        }
    )


def losses(seed=1):
    """Losses that have nothing to do with any column: mean 0.5, spread 0.5."""
    return np.random.default_rng(seed).exponential(0.5, ROWS)


def test_numbers_of_few_values_are_sliced_by_value_and_others_by_quarter():
    """A quarter says where it begins and ends; what is missing is a slice too."""
    few = slice_labels(polars.Series("weekday", [1.0, 2.0, None, float("nan"), 2.5]))
    many = slice_labels(polars.Series("temp", [*range(100), None]))
    text = slice_labels(polars.Series("origin", ["EWR", None, "ü"]))
    flags = slice_labels(polars.Series("flag", [True, False, None]))

    assert few.to_list() == ["1", "2", "missing", "missing", "2.5"]
    assert many.value_counts(sort=True, name="rows").sort("temp").rows() == [
        ("24.75 to 49.5", 25), ("49.5 to 74.25", 25), ("missing", 1), ("over 74.25", 25), ("up to 24.75", 25),
    ]  # fmt: skip
    assert text.to_list() == ["EWR", "missing", "ü"]
    assert flags.to_list() == ["true", "false", "missing"]


def test_quarters_of_numbers_that_hardly_differ_or_are_infinite_have_names_of_their_own():
    """Three edges that read alike are one edge; infinite numbers are in the outer quarters."""
    close = slice_labels(polars.Series("temp", 1e9 + np.arange(100.0)))
    skewed = slice_labels(polars.Series("temp", [0.0] * 90 + list(np.arange(1.0, 30.0))))
    infinite = slice_labels(polars.Series("temp", [*np.arange(100.0), np.inf, -np.inf]))

    assert set(close) == {"up to 1e+09", "over 1e+09"}
    assert set(skewed) == {"up to 0", "over 0"}
    assert (infinite[-2], infinite[-1]) == ("over 74.25", "up to 24.75")


def test_declared_slices_hold_each_row_once_and_leave_small_ones_out():
    """The masks of a column's slices do not overlap, and the largest comes first."""
    frame = rows().with_columns(origin=polars.Series(["EWR"] * 3_000 + ["JFK"] * 2_990 + ["LGA"] * 10))

    found = declared_slices(frame, ("origin", "temp"), min_rows=500)

    assert list(found)[:2] == ["origin=EWR", "origin=JFK"]
    assert [int(mask.sum()) for name, mask in found.items() if name.startswith("temp=")] == [1_500] * 4
    assert "origin=LGA" not in found


def test_a_column_that_is_not_there_is_named():
    """A misspelt column is told, not skipped."""
    with pytest.raises(SchemaMismatch, match=r"evaluation.groups name \['orign'\], but the rows hold \['origin'"):
        declared_slices(rows(), ("orign",), min_rows=500)


def test_a_bad_slice_of_one_column_is_found_first():
    """Rows from JFK lose half as much again."""
    frame = rows()
    worse = losses() * np.where(frame["origin"] == "JFK", 1.5, 1)

    found = find_slices(frame, COLUMNS, worse, min_rows=500, most=5)

    assert list(found) == ["origin=JFK"]
    assert (found["origin=JFK"] == (frame["origin"] == "JFK").to_numpy()).all()


def test_a_bad_pair_of_columns_is_found_though_each_alone_looks_harmless():
    """Where two columns cross is where the model fails."""
    frame = rows()
    crossed = ((frame["origin"] == "JFK") & (frame["temp"] > frame["temp"].quantile(0.75, "linear"))).to_numpy()

    found = find_slices(frame, COLUMNS, losses() + crossed, min_rows=200, most=1)

    (name,) = found
    assert name.startswith("origin=JFK & temp=over 5")
    assert (found[name] == crossed).all()


def test_a_declared_slice_is_not_found_again():
    """What the project file names already is told there."""
    frame = rows()
    worse = losses() * np.where(frame["origin"] == "JFK", 1.5, 1)

    found = find_slices(frame, COLUMNS, worse, declared=("origin",), min_rows=500, most=5)

    assert "origin=JFK" not in found
    assert all(" & " in name for name in found)


def test_slices_that_are_mostly_the_same_rows_are_told_once():
    """A second column that says the same as the first adds no second slice."""
    frame = rows().with_columns(copy=polars.col("origin") + "-airport")
    worse = losses() * np.where(frame["origin"] == "JFK", 1.5, 1)

    found = find_slices(frame, (*COLUMNS, "copy"), worse, min_rows=500, most=5)

    assert len(found) == 1


def test_a_large_slice_that_is_surely_worse_comes_before_a_small_one_that_may_be_luck():
    """The small one has the higher mean loss, and the larger one the higher loss that is beyond doubt."""
    lanes = np.repeat(["a", "b", "c"], [3_100, 2_500, 400])
    worse = losses() + 0.2 * (lanes == "b") + 0.25 * (lanes == "c")

    found = find_slices(polars.DataFrame({"lane": lanes}), ("lane",), worse, min_rows=400, most=3)

    assert list(found) == ["lane=b", "lane=c"]
    assert worse[found["lane=c"]].mean() > worse[found["lane=b"]].mean()


def test_rows_that_are_all_alike_give_no_slice():
    """Out of 60 searches through noise, the stated 1 in 20 may find something: 3, and with luck's spread not 10."""
    alarms = sum(
        bool(find_slices(rows(seed), COLUMNS, losses(1_000 + seed), min_rows=200, most=5)) for seed in range(60)
    )

    # Of Binomial(60, 0.05) 99.9 % lies at or below 9.
    assert alarms <= 9


def test_nothing_to_search_finds_nothing():
    """No columns, too few rows, or losses that do not differ."""
    frame = rows()

    assert find_slices(frame, (), losses(), min_rows=500, most=5) == {}
    assert find_slices(frame, COLUMNS, losses(), min_rows=4_000, most=5) == {}
    assert find_slices(frame, COLUMNS, np.ones(ROWS), min_rows=500, most=5) == {}
    assert find_slices(frame, COLUMNS, losses() + (frame["origin"] == "JFK").to_numpy(), min_rows=500, most=0) == {}

"""What is counted of a column on all rows, and the sentence about it that a person reads."""

import numpy as np
import polars as pl
import pytest

from components.monitoring.shares import Shares, Sides, shares_of
from components.records.rows import Column
from tests.components.monitoring.made import project

TEMP = Column("temp", "number", low=-5.0, high=30.0)
ORIGIN = Column("origin", "category", values=("EWR", "JFK"))
BOUNDS = {"temp": {"low": -60, "high": 140}}
LONG_TAIL = 20_000


def counted(values: list, column: Column, *, trained: list | None = None, **settings) -> Shares:
    """The shares of a column that held the same in training as in the rows it is compared with."""
    dtype = pl.Float64 if column.kind == "number" else pl.String
    window, before = (pl.Series(each, dtype=dtype) for each in (values, values if trained is None else trained))
    return shares_of(Sides(window, before, before), column, project(columns=BOUNDS, **settings))


def test_numbers_outside_of_declared_bounds_are_counted_and_many_of_them_are_broken():
    """A missing value is outside of nothing; the limit and the extremes stand in the sentence."""
    few = counted([10.0] * 90 + [999.0] * 10 + [None], TEMP)
    many = counted([10.0] * 70 + [999.0] * 30 + [None], TEMP)

    assert (few.outside, few.broken) == (0.1, "")
    assert many.outside == 0.3
    assert many.broken == (
        "column 'temp' must be at least -60 and at most 140, but 30.0% of its 100 values are not "
        "(from 10 to 999, limit 20%)"
    )


def test_outside_of_the_range_of_training_is_told_and_not_broken():
    """The first summer of a model that knows the winter is no fault of the source."""
    wind = Column("wind", "number", low=0.0, high=20.0)

    found = counted([10.0, 35.0, 40.0, 5.0] * 25, wind)
    unknown = counted([1.0, 2.0, 3.0, 9.0], Column("wind", "number"), trained=[1.0, 2.0, 3.0])

    assert (found.outside, found.broken) == (0.5, "")
    assert unknown.outside == 0.25  # a schema without a range has that of the sample


def test_categories_that_no_training_row_had_are_counted_and_many_of_them_are_broken():
    """The schema lists what training saw, the sample holds a part of it."""
    few = counted(["EWR"] * 90 + ["NEW"] * 10, ORIGIN, trained=["EWR"])
    many = counted(["JFK"] * 40 + ["NEW"] * 60 + [None] * 5, ORIGIN, trained=["EWR"])

    assert few.unseen == pytest.approx(0.1)
    assert few.broken == ""
    assert many.unseen == pytest.approx(0.6)
    assert many.broken == ("column 'origin' holds 100 values, of which 60.0% were never seen in training (limit 50%)")


def test_a_long_tail_is_not_unseen_for_want_of_a_larger_sample():
    """5,000 rows hold 22 % of 20,000 categories; what the sample cannot show is not called new, and what is new is."""
    rng = np.random.default_rng(3)
    tail = Column("tail", "category")
    trained = [str(value) for value in (LONG_TAIL * rng.random(5_000) ** 2).astype(int)]
    same = [str(value) for value in (LONG_TAIL * rng.random(20_000) ** 2).astype(int)]

    usual, renamed = (
        counted(same, tail, trained=trained),
        counted(["x" + value for value in same], tail, trained=trained),
    )
    half = counted([*same, *("x" + value for value in same)], tail, trained=trained)

    absent = 1 - pl.Series(same).is_in(pl.Series(trained).implode()).mean()
    assert absent > 0.4  # what a plain comparison with the sample would have called unseen
    assert usual.unseen == pytest.approx(0, abs=0.03)
    assert (usual.broken, renamed.unseen) == ("", 1)
    assert half.unseen == pytest.approx(0.5, abs=0.03)


def test_of_values_that_never_come_twice_nobody_knows_what_is_new():
    """An id in each row says nothing about the ids that training had."""
    found = counted([str(row) for row in range(100)], Column("id", "category"), trained=[f"a{at}" for at in range(100)])

    assert (found.unseen, found.broken) == (None, "")


def test_missing_far_more_often_than_in_training_is_broken_and_what_was_empty_then_is_not():
    """The sentence says how much of how many rows."""
    jumped = counted([None] * 30 + [1.0] * 70, TEMP, trained=[1.0] * 99 + [None])
    empty = counted([None] * 5, TEMP, trained=[1.0])
    always = counted([None] * 5, TEMP, trained=[None, None])

    assert jumped.broken == "column 'temp' is missing in 30.0% of 100 rows, 1.0% before (limit +20 points)"
    assert empty.broken == "column 'temp' is missing in all 5 rows (0.0% before)"
    assert always.broken == ""


def test_what_is_missing_in_this_season_of_each_year_is_not_broken():
    """Gusts are written down in gusty weeks only; compared with the week before, the same would be broken."""
    calm, gusty = pl.Series([None] * 60 + [1.0] * 40), pl.Series([None] * 20 + [1.0] * 80)

    in_season, plain = (
        shares_of(Sides(calm, calm, gusty), Column("gust", "number"), project(), in_season=in_season).broken
        for in_season in (True, False)
    )

    assert in_season == ""
    assert plain == "column 'gust' is missing in 60.0% of 100 rows, 20.0% before (limit +20 points)"


def test_a_handful_of_values_breaks_nothing():
    """Of 6 rows, 2 are a third."""
    strange = counted([999.0] * 6, TEMP)
    new = counted(["NEW"] * 6, ORIGIN)

    assert (strange.outside, strange.broken) == (1, "")
    assert (new.unseen, new.broken) == (1, "")

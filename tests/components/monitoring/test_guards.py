"""Columns that are broken are told from columns that moved."""

import numpy as np
import polars as pl

from components.monitoring.guards import Sorted, fold, sort_columns
from components.records.rows import Column, Schema
from tests.components.monitoring.made import project

SCHEMA = Schema((Column("temp", "number"), Column("dest", "category")), "late", "binary", "at")
REFERENCE = pl.DataFrame({"temp": [1.0, 2.0, 3.0, None], "dest": ["LAX", "BOS", "LAX", "SFO"]})


def sorted_of(window: pl.DataFrame, reference: pl.DataFrame = REFERENCE, schema: Schema = SCHEMA) -> Sorted:
    """The window's columns beside the training rows, where a jump of 40 % of the rows is broken."""
    return sort_columns(window, reference, reference, schema, project(trigger={"broken_share": 0.4}))


def broken_in(**columns: list) -> tuple[str, ...]:
    """Broken columns of a window that holds these instead of sound ones."""
    sound = {"temp": [1.0, 2.0, 3.0, 4.0], "dest": ["LAX", "BOS", "LAX", "SFO"]}
    return sorted_of(pl.DataFrame({name: values for name, values in (sound | columns).items() if values})).broken


def test_columns_that_hold_values_are_measured():
    """A moved or constant column is not broken: that is for the drift to say."""
    assert broken_in() == ()
    assert broken_in(temp=[900.0, 900.0, 900.0, 900.0]) == ()
    assert broken_in(dest=["NEW", "NEW", "NEW", "NEW"]) == ()


def test_empty_infinite_absent_and_mistyped_columns_are_broken():
    """What Evidently would raise on is found before."""
    assert broken_in(temp=[None, None, None, None]) == ("temp",)
    assert broken_in(temp=[float("inf"), float("-inf"), float("nan"), None]) == ("temp",)
    assert broken_in(temp=[]) == ("temp",)
    assert broken_in(temp=["warm", "cold", "mild", "hot"]) == ("temp",)
    assert broken_in(dest=["", "", None, None]) == ("dest",)


def test_a_column_that_became_half_empty_is_broken_yet_measured():
    """Evidently does not see it; the half that is left is still drawn."""
    window = pl.DataFrame({"temp": [1.0, None, None, None], "dest": ["LAX", "BOS", "LAX", None]})

    found = sorted_of(window)

    assert found.broken == ("temp",)
    assert set(found.window) == {"temp", "dest"}
    assert found.missing["temp"].jump == 0.5
    assert found.missing["dest"].jump == 0.25


def test_a_column_that_was_empty_in_training_is_left_alone():
    """It did not get worse, so nobody is asked each week, and there is nothing to compare with."""
    reference = REFERENCE.with_columns(temp=pl.lit(None, dtype=pl.Float64))

    found = sorted_of(reference, reference)

    assert found.broken == ()
    assert set(found.window) == {"dest"}


def test_values_are_read_as_the_model_reads_them():
    """3 and 3.0 are one category, whether it came from a table or from a request."""
    schema = Schema((Column("flight", "category"),), "late", "binary", "at")

    found = sorted_of(pl.DataFrame({"flight": [3, 4]}), pl.DataFrame({"flight": [3.0, 4.0]}), schema)

    assert found.window["flight"].tolist() == found.reference["flight"].tolist() == ["3", "4"]


def test_a_column_of_thousands_of_values_stays_the_same():
    """The luckiest values of one sample are as rare as the others in the next."""
    rng = np.random.default_rng(5)
    window, reference = (rng.integers(0, 4_000, rows).astype(str).astype(object) for rows in (1_200, 2_000))

    now, then = fold(window, reference, keep=30)

    assert set(now) == set(then) == {"(other)"}


def test_rare_values_are_folded_and_missing_ones_keep_a_name():
    """The most frequent values of both sides keep their names, so a new frequent one is seen by name."""
    window = np.array(["new"] * 6 + ["a", "b", ""], dtype=object)
    reference = np.array(["a"] * 5 + ["c", "d", ""], dtype=object)

    now, then = fold(window, reference, keep=3)

    assert sorted(set(now)) == ["(missing)", "(other)", "a", "new"]
    assert list(then).count("(other)") == 2

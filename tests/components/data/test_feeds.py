"""Rows reach the graph the same way from a request, a list and a table."""

import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from components.data.feeds import feeds, text_of
from components.errors import SchemaMismatch
from components.records.rows import Column, Schema

SCHEMA = Schema((Column("place", "category"), Column("warm", "number")), "late", "binary", "at")


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param({"warm": [1, None, 2.5], "place": ["a", None, "ü"]}, id="lists"),
        pytest.param(
            {"warm": np.array([1, np.nan, 2.5]), "place": np.array(["a", None, "ü"], dtype=object)}, id="arrays"
        ),
        pytest.param({"warm": [1, float("nan"), 2.5], "place": ["a", float("nan"), "ü"]}, id="missing as NaN"),
        pytest.param(
            pl.DataFrame({"warm": [1.0, None, 2.5], "place": ["a", None, "ü"], "more": [0, 0, 0]}), id="a frame"
        ),
        pytest.param(
            pl.DataFrame(
                {"warm": [1.0, None, 2.5], "place": ["a", "", "ü"]}, schema_overrides={"place": pl.Categorical}
            ),
            id="a frame of categoricals",
        ),
    ],
)
def test_the_same_rows_feed_the_same_arrays(columns: object):
    """float64 with NaN for numbers, text with nothing in it for categories, in the order of the schema."""
    fed = feeds(columns, SCHEMA)

    assert list(fed) == ["place", "warm"]
    assert fed["warm"].dtype == np.float64
    np.testing.assert_array_equal(fed["warm"], [1.0, np.nan, 2.5])
    assert fed["place"].dtype == object
    assert fed["place"].tolist() == ["a", "", "ü"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("", ""),
        (float("nan"), ""),
        (3, "3"),
        (3.0, "3"),
        (np.float64(3.0), "3"),
        (np.int64(3), "3"),
        (2.5, "2.5"),
        (True, "true"),
        (np.bool_(False), "false"),
        ("True", "True"),
        (float("inf"), "inf"),
    ],
)
def test_a_categorys_value_has_one_text(value: object, text: str):
    """3 and 3.0 are one category, and booleans read as JSON writes them."""
    assert text_of(value) == text


@pytest.mark.parametrize("rows", [0, 1])
def test_none_and_one_row_are_rows_too(rows: int):
    """Arrays stay one-dimensional."""
    fed = feeds({"warm": [1.0] * rows, "place": ["a"] * rows}, SCHEMA)

    assert [array.shape for array in fed.values()] == [(rows,), (rows,)]


@pytest.mark.parametrize("columns", [{"warm": [1.0], "more": [1]}, pl.DataFrame({"warm": [1.0], "more": [1]})])
def test_a_column_that_is_not_there_is_named(columns: object):
    """With what is there, and what to do."""
    with pytest.raises(
        SchemaMismatch, match=r"must hold the columns \['place'\], but hold \['warm', 'more'\]; add them"
    ):
        feeds(columns, SCHEMA)


def test_text_among_numbers_is_refused():
    """The message shows the value."""
    with pytest.raises(SchemaMismatch, match=r"column 'warm' must hold numbers, but does not: .*'mild'"):
        feeds({"warm": ["mild"], "place": ["a"]}, SCHEMA)


def test_feeding_needs_numpy_alone():
    """The service, which starts in a moment, imports this."""
    code = "import components.data.feeds, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not {"polars", "pyarrow", "pandas", "pydantic", "deltalake"} & set(done.stdout.split())

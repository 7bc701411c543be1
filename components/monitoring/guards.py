"""Reads the columns of a window as the model reads them, so that each can be compared with the reference.

Evidently raises on columns that are empty, infinite or absent, and does not see a column that became half empty; so
both are found here, on all rows, before it runs. How far a distribution moved is not measured here.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from components.data.feeds import numbers, text_of
from components.errors import SchemaMismatch
from components.monitoring.shares import Missing, Shares, Sides, shares_of
from components.records.rows import Column, Schema
from components.settings.project import Project

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]
ColumnHolds = Literal["number", "category", "text"]

# A category below this share of the rows, averaged over both sides, says nothing by itself: with 4,000 equally frequent
# values, the 30 luckiest of 1,200 rows made 6 % of them and of the reference 1 %, which looked like drift.
RARE = 0.005
# By chance alone k values of n rows against m rows are about sqrt((k - 1) / 8 * (1 / n + 1 / m)) apart: with 30 values
# that is 0.04 for 5,000 against 5,000 rows and 0.07 for 1,000, with 300 values it would be 0.12.
CATEGORIES = 30
# Of a column whose values are sentences, folding leaves "(other)" alone; their length can still be compared. Tail
# numbers and airports have 3 to 6 characters, tweets and titles 40 and more; and of names that repeat, the counts say
# more than the lengths.
TEXT_CHARACTERS = 20
TEXT_DISTINCT = 0.5
# The same rows are drawn each time a window is measured, so that its facts can be repeated.
SAMPLE_SEED = 7


@dataclass(frozen=True, slots=True)
class Reading:
    """One column of one table.

    Attributes:
        series: Shape (rows,): Float64 or String, null where missing; of a column that cannot be read, all null.
        fault: Why it cannot be read; empty if it can.
    """

    series: pl.Series
    fault: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Sorted:
    """The columns of a window and of the reference, as the model reads them.

    Attributes:
        window: Measurable columns, sampled, each of shape (sampled rows,): float64 with NaN where missing, or folded
            categories. Of a text it is the length in characters.
        reference: The same columns of the reference.
        holds: What each feature column holds, in the schema's order.
        shares: What was counted on all rows of each feature column, in the same order.
    """

    window: dict[str, Array]
    reference: dict[str, Array]
    holds: dict[str, ColumnHolds]
    shares: dict[str, Shares]

    @property
    def missing(self) -> dict[str, Missing]:
        """Shares of missing values by column."""
        return {name: shares.missing for name, shares in self.shares.items()}

    @property
    def broken(self) -> tuple[str, ...]:
        """Columns that a person must look at: unreadable, empty, or full of what was never seen."""
        return tuple(name for name, shares in self.shares.items() if shares.broken)


def sort_columns(
    window: pl.DataFrame,
    compared: pl.DataFrame,
    trained: pl.DataFrame,
    schema: Schema,
    project: Project,
    *,
    in_season: bool = False,
) -> Sorted:
    """The columns that can be compared with the reference, and what is to be said of each.

    Args:
        window: All rows of the window, at least one.
        compared: The rows that it is compared with.
        trained: The sample of training rows of the version that answered; often the same.
        schema: What a row of that version looks like.
        project: Limits, declared bounds, and how many rows are drawn.
        in_season: The rows it is compared with are of the same season.

    Returns:
        A column that was empty in the reference already is neither measured nor broken: nothing changed.
    """
    drawn = [sample(frame.height, project.monitoring.sample_rows) for frame in (window, compared)]
    found = Sorted({}, {}, {}, {})
    for column in schema.features:
        now, then = read_column(window, column), read_column(compared, column)
        taught = then if trained is compared else read_column(trained, column)
        holds = found.holds[column.name] = what_it_holds(taught.series, column)
        found.shares[column.name] = shares_of(
            Sides(now.series, then.series, taught.series),
            column,
            project,
            is_text=holds == "text",
            fault=now.fault,
            in_season=in_season,
        )
        sides = now.series[drawn[0]], then.series[drawn[1]]
        # A column that holds values in few rows may hold none in the sample, and Evidently wants at least one.
        if all(side.null_count() < side.len() for side in sides):
            found.window[column.name], found.reference[column.name] = _comparable(*sides, holds)
    return found


def read_column(frame: pl.DataFrame, column: Column) -> Reading:
    """The column as the model reads it: what is not a finite number, or is an empty text, is missing."""
    dtype = pl.Float64 if column.kind == "number" else pl.String
    nothing = pl.Series(column.name, [None], dtype=dtype).new_from_index(0, frame.height)
    if column.name not in frame.columns:
        return Reading(nothing, "is not among the window's columns")
    series = frame[column.name]
    if column.kind == "category":
        return Reading(_as_texts(series).replace("", None))
    if not series.dtype.is_numeric():
        if series.dtype.is_temporal():
            return Reading(nothing, f"must hold numbers, but holds {series.dtype}")  # else microseconds since 1970
        try:
            series = pl.Series(column.name, numbers(series, column.name))
        except SchemaMismatch as err:
            log.warning("column cannot be read name=%s reason=%s", column.name, err)
            return Reading(nothing, f"must hold numbers, but holds {series.dtype}")
    series = series.cast(pl.Float64)
    if series.is_finite().all():
        return Reading(series)
    return Reading(pl.select(pl.when(series.is_finite()).then(series).alias(column.name)).to_series())


def what_it_holds(trained: pl.Series, column: Column) -> ColumnHolds:
    """`text` for categories that are long and mostly differ from each other, by the training rows."""
    there = trained.drop_nulls()
    if column.kind == "number" or column.values or there.is_empty():
        return column.kind
    characters: Any = there.str.len_chars().median()
    is_text = characters >= TEXT_CHARACTERS and there.n_unique() >= TEXT_DISTINCT * there.len()
    return "text" if is_text else "category"


def fold(window: Array, reference: Array, *, keep: int = CATEGORIES) -> tuple[Array, Array]:
    """Two category columns with all but the most frequent values folded into one, and missing as a value of its own.

    Without this, a column of thousands of values (an aircraft's tail number) "drifts" by chance alone: most of its
    values stand in one of the two samples only. For the same reason a value below `RARE` in both is folded even if it
    is among the most frequent.

    Args:
        window: Texts, shape (rows,); "" is missing.
        reference: Texts, shape (reference rows,).
        keep: How many values keep their name.
    """
    shares: dict[str, float] = {}
    for values in (window, reference):
        found, counts = np.unique(values.astype(str), return_counts=True)
        for value, share in zip(found, counts / values.size, strict=True):
            shares[value] = shares.get(value, 0) + float(share) / 2
    kept = [
        value for value in sorted(shares, key=lambda value: (-shares[value], value))[:keep] if shares[value] >= RARE
    ]
    names = {value: value or "(missing)" for value in kept}
    return _renamed(window, names), _renamed(reference, names)


def sample(rows: int, most: int) -> Array:
    """Indices of at most so many rows, in their order; the same ones each time."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(SAMPLE_SEED).choice(rows, most, replace=False))


def _comparable(window: pl.Series, reference: pl.Series, holds: ColumnHolds) -> tuple[Array, Array]:
    """Both sides as arrays of numbers, or of folded categories."""
    if holds == "category":
        now, then = (side.fill_null("").to_numpy().astype(object) for side in (window, reference))
        return fold(now, then)
    if holds == "text":
        window, reference = window.str.len_chars(), reference.str.len_chars()
    now, then = (side.cast(pl.Float64).fill_null(np.nan).to_numpy() for side in (window, reference))
    return now, then


def _as_texts(series: pl.Series) -> pl.Series:
    """Categories as the model reads them: 3 and 3.0 are the same one."""
    if series.dtype in (pl.String, pl.Categorical, pl.Enum):
        return series.cast(pl.String)
    values: list[Any] = series.unique().to_list()
    return series.replace_strict(values, [text_of(value) for value in values], return_dtype=pl.String)


def _renamed(values: Array, names: Mapping[str, str]) -> Array:
    return np.array([names.get(value, "(other)") for value in values], dtype=object)

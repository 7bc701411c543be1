"""Sorts the columns of a window: which can be measured, and which are broken rather than moved.

Evidently raises on columns that are empty, infinite or absent, and does not see a column that became half empty; so
both are found here, on all rows, before it runs. How far a distribution moved is not measured here.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from components.data.feeds import numbers, texts
from components.errors import SchemaMismatch
from components.records.rows import Column, Schema

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]

# A category below this share of the rows, averaged over both sides, says nothing by itself: with 4,000 equally frequent
# values, the 30 luckiest of 1,200 rows made 6 % of them and of the reference 1 %, which looked like drift.
RARE = 0.005


@dataclass(frozen=True, slots=True)
class Missing:
    """Share of missing values in the reference and in the window, each 0 to 1."""

    reference: float
    window: float

    @property
    def jump(self) -> float:
        """How much more is missing than in training; negative if less."""
        return self.window - self.reference


@dataclass(frozen=True, slots=True, eq=False)
class Sorted:
    """The columns of a window and of the reference, as the model reads them.

    Attributes:
        window: Measurable columns, each of shape (rows,): float64 with NaN, or text with "" for a missing value.
        reference: The same columns of the reference, of shape (reference rows,).
        missing: Of every feature column, in the schema's order.
        broken: Columns a person must look at: absent, of the wrong type, empty, or missing far more than in training.
    """

    window: dict[str, Array]
    reference: dict[str, Array]
    missing: dict[str, Missing]
    broken: tuple[str, ...]


def sort_columns(window: pl.DataFrame, reference: pl.DataFrame, schema: Schema, *, broken_share: float) -> Sorted:
    """The columns that can be compared with the reference, and those that are broken.

    Args:
        window: All rows of the window, at least one.
        reference: The sample of training rows of the version that answered.
        schema: What a row of that version looks like.
        broken_share: A column missing this much more often than in training, as a share of rows, is broken.

    Returns:
        A column that was empty in training already is neither measured nor broken: nothing changed.
    """
    measurable: dict[str, tuple[Array, Array]] = {}
    missing: dict[str, Missing] = {}
    broken: list[str] = []
    for column in schema.features:
        now, then = _values(window, column), _values(reference, column)
        shares = missing[column.name] = Missing(_missing_share(then), _missing_share(now))
        if (shares.window == 1 and shares.reference < 1) or shares.jump >= broken_share:
            broken.append(column.name)
        if shares.window < 1 and shares.reference < 1:
            measurable[column.name] = (now, then)
    return Sorted(
        window={name: pair[0] for name, pair in measurable.items()},
        reference={name: pair[1] for name, pair in measurable.items()},
        missing=missing,
        broken=tuple(broken),
    )


def fold(window: Array, reference: Array, *, keep: int) -> tuple[Array, Array]:
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


def _renamed(values: Array, names: Mapping[str, str]) -> Array:
    return np.array([names.get(value, "(other)") for value in values], dtype=object)


def _values(frame: pl.DataFrame, column: Column) -> Array:
    """The column as the model reads it; all missing if it is absent or holds something else."""
    nothing = np.full(frame.height, np.nan) if column.kind == "number" else np.full(frame.height, "", dtype=object)
    if column.name not in frame.columns:
        return nothing
    try:
        if column.kind == "category":
            return texts(frame[column.name])
        found = numbers(frame[column.name], column.name)
    except SchemaMismatch as err:
        log.warning("column cannot be read name=%s reason=%s", column.name, err)
        return nothing
    return np.where(np.isfinite(found), found, np.nan)


def _missing_share(values: Array) -> float:
    if not values.size:
        return 1.0
    missing = np.isnan(values) if values.dtype.kind == "f" else values == ""
    return float(np.mean(missing))

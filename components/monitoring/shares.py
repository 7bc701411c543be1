"""What is counted on all rows of a column: missing values, categories never seen, numbers outside of their range.

And the one sentence that says why a person must look at it. Broken is not drifted: a source that sends nonsense is
mended, never learned from.
"""

from dataclasses import dataclass
from typing import Any

import polars as pl

from components.records.rows import Column
from components.settings.project import Project

Bounds = tuple[float | None, float | None]

# Fewer values than this are too few to call a column broken by a share of them: of 6 rows, 2 are a third.
FEW_VALUES = 30
# Where more of the training values than this came once only, nobody can know what was never seen.
MOST_SINGLES = 0.9


@dataclass(frozen=True, slots=True)
class Missing:
    """Share of missing values in the reference and in the window, each 0 to 1."""

    reference: float
    window: float

    @property
    def jump(self) -> float:
        """How much more is missing than in the reference; negative if less."""
        return self.window - self.reference


@dataclass(frozen=True, slots=True)
class Shares:
    """What was counted of one column.

    Attributes:
        missing: Share of missing values, before and now.
        unseen: Share of the values that are categories never seen in training; None for numbers, texts, and where it
            cannot be known.
        outside: Share of the values outside of the declared bounds, or else of the range seen in training; None for
            categories.
        broken: Why a person must look at it; empty if nobody must.
    """

    missing: Missing
    unseen: float | None = None
    outside: float | None = None
    broken: str = ""


@dataclass(frozen=True, slots=True)
class Sides:
    """One column in three tables, each of shape (rows,), Float64 or String, null where missing.

    Attributes:
        window: All rows of the window.
        compared: The rows that it is compared with.
        trained: The sample of training rows; often the same.
    """

    window: pl.Series
    compared: pl.Series
    trained: pl.Series


def shares_of(
    sides: Sides, column: Column, project: Project, *, is_text: bool = False, fault: str = "", in_season: bool = False
) -> Shares:
    """The shares of one column, with the sentence about it if one of them is over its limit.

    Args:
        sides: The column.
        column: What is known of it from training.
        project: The limits, and the bounds that are declared for the column.
        is_text: Its values are sentences, of which each is new.
        fault: Why it could not be read; empty if it could.
        in_season: What it is compared with is the same season: what was missing then as well is not broken.
    """
    trigger, now = project.monitoring.trigger, sides.window
    missing = Missing(_missing(sides.compared), _missing(now))
    usual = _missing(sides.trained)
    usual = max(usual, missing.reference) if in_season else usual
    # Of a column that was empty in training too nothing is said: it did not get worse.
    if usual == 1:
        fault = ""
    elif not fault:
        fault = _emptier(missing.window, usual, trigger.broken_share, now.len())
    if column.kind == "number":
        bounds = _declared(project, column)
        outside = _outside(now, *(bounds or _seen(column, sides.trained)))
        fault = fault or (_far_out(now, bounds, outside, trigger.max_outside_share) if bounds else "")
        return Shares(missing, None, outside, _sentence(column, fault))
    unseen = None if is_text else _unseen(now, column, sides.trained)
    fault = fault or _unknown(now, unseen, trigger.max_unseen_share)
    return Shares(missing, unseen, None, _sentence(column, fault))


def _missing(values: pl.Series) -> float:
    return values.null_count() / values.len() if values.len() else 1.0


def _declared(project: Project, column: Column) -> Bounds | None:
    settings = project.data.columns.get(column.name)
    if settings is None or (settings.low, settings.high) == (None, None):
        return None
    return settings.low, settings.high


def _seen(column: Column, trained: pl.Series) -> Bounds:
    """The range seen in training: of all its rows where the schema has it, else of the sample."""
    if column.low is not None or column.high is not None:
        return column.low, column.high
    low: Any = trained.min()
    high: Any = trained.max()
    return low, high


def _outside(values: pl.Series, low: float | None, high: float | None) -> float | None:
    """Share of the values that are not missing; None if all are, or no bound is known."""
    there = values.len() - values.null_count()
    if not there or (low is None and high is None):
        return None
    below = 0 if low is None else int((values < low).sum())
    above = 0 if high is None else int((values > high).sum())
    return (below + above) / there


def _unseen(values: pl.Series, column: Column, trained: pl.Series) -> float | None:
    """Share of the values that are not missing and that no training row had.

    The schema lists the categories where they are few. Else there is the sample of training rows alone, and of a long
    tail it holds a part: the share of all training rows whose value is not in it is about the share of its values that
    came once (Good 1953, the population frequencies of species), and so much is taken off.
    """
    there = values.drop_nulls()
    taught = trained.drop_nulls()
    if there.is_empty() or (not column.values and taught.is_empty()):
        return None
    if column.values:
        return _share_without(there, pl.Series(column.values, dtype=pl.String))
    counts = taught.alias("value").value_counts(name="rows")
    singles = int((counts["rows"] == 1).sum()) / taught.len()
    if singles > MOST_SINGLES:
        return None
    return max(0.0, (_share_without(there, counts["value"]) - singles) / (1 - singles))


def _share_without(values: pl.Series, known: pl.Series) -> float:
    return 1 - int(values.is_in(known.implode()).sum()) / values.len()


def _sentence(column: Column, fault: str) -> str:
    return f"column {column.name!r} {fault}" if fault else ""


def _emptier(window: float, usual: float, limit: float, rows: int) -> str:
    if window == 1:
        return f"is missing in all {rows:,} rows ({usual:.1%} before)"
    if window - usual < limit:
        return ""
    return f"is missing in {window:.1%} of {rows:,} rows, {usual:.1%} before (limit {100 * limit:+.0f} points)"


def _unknown(values: pl.Series, unseen: float | None, limit: float) -> str:
    there = values.len() - values.null_count()
    if unseen is None or there < FEW_VALUES or unseen < limit:
        return ""
    return f"holds {there:,} values, of which {unseen:.1%} were never seen in training (limit {limit:.0%})"


def _far_out(values: pl.Series, bounds: Bounds, outside: float | None, limit: float) -> str:
    there = values.len() - values.null_count()
    if outside is None or there < FEW_VALUES or outside < limit:
        return ""
    ends: Any = (values.min(), values.max())
    low, high = bounds
    wanted = [*([] if low is None else [f"at least {low:g}"]), *([] if high is None else [f"at most {high:g}"])]
    return (
        f"must be {' and '.join(wanted)}, but {outside:.1%} of its {there:,} values are not (from {ends[0]:g} to "
        f"{ends[1]:g}, limit {limit:.0%})"
    )

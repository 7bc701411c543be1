"""The tables on top of a window's page: what a person must look at, and each column with all that is known of it."""

from collections.abc import Sequence
from typing import Any

from evidently.legacy.renderers.html_widgets import table_data

from components.monitoring.shifts import PREDICTION, Shift
from components.records.watching import ColumnFacts

REFERENCES = {
    "training": "the training rows",
    "previous": "the window before",
    "same-season": "the same season one before",
}
# Smaller ones are told as such: a p-value of 1e-80 is an artefact of its formula.
SMALLEST = 0.001


def column_tables(
    columns: Sequence[ColumnFacts], shifts: Sequence[Shift], *, reference: str, breaks: Sequence[str]
) -> list[Any]:
    """Evidently's widgets: what is broken, if something is, and the columns, the most telling first.

    Args:
        columns: What is known of each input column.
        shifts: How far each moved, the prediction among them.
        reference: What the inputs were compared with.
        breaks: Schema checks that the window fails.
    """
    wrong = _findings(columns, breaks)
    tables = [table_data(title="What a person must look at", column_names=["finding"], data=[[text] for text in wrong])]
    rows = [_answer_row(shift) for shift in shifts if shift.column == PREDICTION]
    rows += [_row(column) for column in sorted(columns, key=_rank)]
    names = [
        "column", "", "holds", "effect size", "counts from", "p-value", "importance", "missing", "before", "unseen",
        "out of range",
    ]  # fmt: skip
    title = f"Each column beside {REFERENCES.get(reference, reference)}"
    return [*(tables if wrong else []), *([table_data(title=title, column_names=names, data=rows)] if rows else [])]


def _findings(columns: Sequence[ColumnFacts], breaks: Sequence[str]) -> list[str]:
    """What is broken, and which checks fail beside that: of a broken column all is said with one sentence."""
    broken = {column.name: column.broken for column in columns if column.broken}
    told = tuple(f"column {name!r} " for name in broken)
    return [*broken.values(), *(each for each in breaks if not each.startswith(told))]


def _rank(column: ColumnFacts) -> tuple[bool, bool, float]:
    """Broken before drifted before calm, and of these the one that moved farthest against its threshold."""
    relative = 0.0 if column.size is None or not column.threshold else column.size / column.threshold
    return not column.broken, not column.has_drifted, -relative


def _row(column: ColumnFacts) -> list[str]:
    state = "broken" if column.broken else "drifted" if column.has_drifted else "same"
    if column.size is None and not column.broken:
        state = "not measured"
    return [
        column.name,
        state,
        column.kind,
        _number(column.size),
        "" if column.threshold is None else f"{column.threshold:g}",
        _chance(column.p_value),
        _share(column.importance),
        _share(column.missing),
        _share(column.reference_missing),
        _share(column.unseen),
        _share(column.outside),
    ]


def _answer_row(shift: Shift) -> list[str]:
    state = "drifted" if shift.has_drifted else "same"
    return [
        "the answer",
        state,
        "prediction",
        _number(shift.size),
        f"{shift.threshold:g}",
        _chance(shift.p_value),
        *[""] * 5,
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _chance(value: float | None) -> str:
    if value is None:
        return ""
    return f"< {SMALLEST}" if value < SMALLEST else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"

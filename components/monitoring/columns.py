"""What is said of each input column of a window: how far it moved, whether by chance, and how much that matters."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from components.monitoring.guards import Array, Sorted
from components.monitoring.shifts import PREDICTION, Shift
from components.monitoring.significance import chance_of, discoveries
from components.records.watching import ColumnFacts, WindowFacts


def judged(
    shifts: Sequence[Shift], window: Mapping[str, Array], compared: Mapping[str, Array], *, false_discoveries: float
) -> list[Shift]:
    """The shifts with their p-value, and whether each counts: far enough, and not by chance.

    False discoveries are controlled over the inputs together; the prediction is one question of its own.

    Args:
        shifts: How far each column moved.
        window: The same columns' values, as they were compared.
        compared: Those of the other side.
        false_discoveries: Share of chance among the columns called drifted.
    """
    chances = {shift.column: chance_of(window[shift.column], compared[shift.column]) for shift in shifts}
    found = discoveries({name: chance for name, chance in chances.items() if name != PREDICTION}, false_discoveries)
    found |= {PREDICTION} if chances.get(PREDICTION, 1.0) <= false_discoveries else set()
    return [
        replace(
            shift,
            p_value=chances[shift.column],
            has_drifted=shift.size >= shift.threshold and shift.column in found,
        )
        for shift in shifts
    ]


def column_facts(columns: Sorted, shifts: Sequence[Shift], importances: Mapping[str, float]) -> tuple[ColumnFacts, ...]:
    """All that is known of each input column, in the schema's order.

    Args:
        columns: What was counted on all rows.
        shifts: How far each column moved; one without a shift could not be measured.
        importances: Share of each column in what moves the answer; empty if it is not known.
    """
    moved = {shift.column: shift for shift in shifts}
    found = []
    for name, shares in columns.shares.items():
        facts = ColumnFacts(
            name=name,
            kind=columns.holds[name],
            importance=importances.get(name, 0.0) if importances else None,
            missing=shares.missing.window,
            reference_missing=shares.missing.reference,
            unseen=shares.unseen,
            outside=shares.outside,
            broken=shares.broken,
        )
        if (shift := moved.get(name)) is not None:
            facts = replace(
                facts,
                size=shift.size,
                threshold=shift.threshold,
                p_value=shift.p_value,
                has_drifted=shift.has_drifted,
            )
        found.append(facts)
    return tuple(found)


def with_drift(facts: WindowFacts, columns: tuple[ColumnFacts, ...], shifts: Sequence[Shift]) -> WindowFacts:
    """The facts of a window with enough rows to speak of drift: which columns, what share, and how important."""
    measured = [column for column in columns if column.size is not None]
    drifted = [column for column in measured if column.has_drifted]
    knows_importance = bool(measured) and all(column.importance is not None for column in columns)
    answers = [shift.has_drifted for shift in shifts if shift.column == PREDICTION]
    return replace(
        facts,
        columns=columns,
        drifted_columns=tuple(column.name for column in drifted),
        drift_share=len(drifted) / len(measured) if measured else None,
        weighted_drift=sum(column.importance or 0.0 for column in drifted) if knows_importance else None,
        prediction_drifted=answers[0] if answers else None,
    )

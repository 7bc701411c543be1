"""What the model must do, as the project file declares it: tests of behaviour, whatever the metrics say.

A change of a row that must not matter does not; one that must, does, in its direction; hand-written rows get their
answers. Every test becomes a `Rule` with its numbers; a test that nothing could pass or fail fails.

Source: Ribeiro et al. (2020), Beyond Accuracy: Behavioral Testing of NLP Models with CheckList, arXiv:2005.04118, whose
invariance, directional expectation and minimum functionality tests these are.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars

from components.data.feeds import text_of
from components.errors import ProjectFileError
from components.evaluation.predicting import Array, Outputs, predict
from components.records.rows import Column, Schema
from components.records.scores import Rule
from components.settings.evaluation import ChangeBehaviour, ChangeSettings, EvaluationSettings, RowsBehaviour

# The share of 2,000 rows that behave is known to about 1 in 100 (95 % sure), and 4,000 answers take milliseconds.
MOST_ROWS = 2_000
SHOWN_ROWS = 3

POLARS = {"number": polars.Float64, "category": polars.String}


def run_behaviours(
    graph: Path, frame: polars.DataFrame, schema: Schema, settings: EvaluationSettings
) -> tuple[Rule, ...]:
    """One rule for each behaviour of the project file, in its order.

    Args:
        graph: ONNX file from raw row to prediction.
        frame: Raw rows that are changed, such as those of the test part; 2,000 of them, evenly taken, are used.
        schema: The schema that the graph was exported with.
        settings: Their `behaviours`.

    Raises:
        ProjectFileError: If a behaviour names what is not there or asks for what cannot be; all mistakes at once.
        ModelRefused: If the graph cannot be run.
        SchemaMismatch: If a feature column is missing.
    """
    check_behaviours(schema, settings)
    rows = frame.select(column.name for column in schema.features) if settings.behaviours else frame
    if rows.height > MOST_ROWS:
        rows = rows[np.linspace(0, rows.height - 1, MOST_ROWS).astype(np.int64)]
    return tuple(
        _rows_rule(behaviour, graph, schema)
        if isinstance(behaviour, RowsBehaviour)
        else _change_rule(behaviour, graph, rows, schema)
        for behaviour in settings.behaviours
    )


def check_behaviours(schema: Schema, settings: EvaluationSettings) -> None:
    """Refuse behaviours that cannot be meant for these columns and this kind of target.

    Raises:
        ProjectFileError: If there are any; the message names every one.
    """
    mistakes = []
    for behaviour in settings.behaviours:
        if isinstance(behaviour, RowsBehaviour):
            found = _row_mistakes(behaviour, schema)
        else:
            found = _change_mistakes(behaviour, schema)
        mistakes += [f"{behaviour.name!r} {mistake}" for mistake in found]
    if mistakes:
        raise ProjectFileError(
            f"evaluation.behaviours must fit the columns and the target, but {'; '.join(mistakes)}; "
            "correct the project file"
        )


def _change_rule(behaviour: ChangeBehaviour, graph: Path, rows: polars.DataFrame, schema: Schema) -> Rule:
    """Asks the same rows before and after the change; rows that it leaves as they are do not count."""
    column = _columns(schema)[behaviour.column]
    before = rows.with_columns(polars.col(column.name).cast(POLARS[column.kind]))
    after = before.with_columns(_changed(column, behaviour.change))
    altered = ~before[column.name].eq_missing(after[column.name])
    before, after = before.filter(altered), after.filter(altered)
    name, doing = behaviour.name, _told(column.name, behaviour.change)
    if not before.height:
        return Rule(
            name, False, f"{doing} must alter some of {rows.height:,} rows, but alters none; nothing was tested"
        )
    moves = _moves(predict(graph, before, schema), predict(graph, after, schema))
    wanted = {
        "same": np.abs(moves) <= behaviour.tolerance,
        "up": moves > behaviour.tolerance,
        "down": moves < -behaviour.tolerance,
    }[behaviour.expect]
    share = float(wanted.mean())
    must = {"same": "stay within", "up": "rise by more than", "down": "fall by more than"}[behaviour.expect]
    detail = (
        f"when {doing}, at least {_percent(behaviour.share)} of the answers must {must} {behaviour.tolerance:g}; "
        f"{_percent(share)} of {before.height:,} rows do (median move {np.median(moves):+.3g}, "
        f"from {moves.min():+.3g} to {moves.max():+.3g})"
    )
    return Rule(name, share >= behaviour.share, detail)


def _moves(before: Outputs, after: Outputs) -> Array:
    """By how much each answer moved, shape (rows,); of a multiclass one, the largest move of a probability."""
    if before.probability is None or after.probability is None:
        return np.asarray(after.prediction - before.prediction)
    moves = after.probability - before.probability
    return moves if moves.ndim == 1 else np.asarray(np.abs(moves).max(axis=1))


def _changed(column: Column, change: ChangeSettings) -> polars.Expr:
    old = polars.col(column.name)
    if change.add is not None:
        return old + change.add
    if change.multiply is not None:
        return old * change.multiply
    value = text_of(change.set) if column.kind == "category" and change.set is not None else change.set
    return polars.lit(value, POLARS[column.kind]).alias(column.name)


def _told(column: str, change: ChangeSettings) -> str:
    if change.add is not None:
        return f"{change.add:g} is added to {column}"
    if change.multiply is not None:
        return f"{column} is multiplied by {change.multiply:g}"
    if change.missing:
        return f"{column} is missing"
    return f"{column} is set to {change.set!r}" if isinstance(change.set, str) else f"{column} is set to {change.set:g}"


def _rows_rule(behaviour: RowsBehaviour, graph: Path, schema: Schema) -> Rule:
    given = {
        column.name: polars.Series([_given(row.get(column.name), column) for row in behaviour.rows], dtype=kind)
        for column in schema.features
        for kind in (POLARS[column.kind],)
    }
    outputs = predict(graph, polars.DataFrame(given), schema)
    wanted = np.array([_answer(row[schema.target], schema) for row in behaviour.rows], dtype=np.float64)
    right = np.abs(outputs.prediction - wanted) <= (behaviour.tolerance if schema.target_kind == "regression" else 0)
    wrong = [
        f"row {place + 1} wants {_shown(wanted[place], schema)}, found {_shown(outputs.prediction[place], schema)}"
        for place in np.flatnonzero(~right)[:SHOWN_ROWS]
    ]
    more = [f"and {(~right).sum() - SHOWN_ROWS} more"] if (~right).sum() > SHOWN_ROWS else []
    detail = (
        f"at least {_percent(behaviour.share)} of the rows must be answered right; {right.sum()} of {right.size} are"
    )
    said = f" ({', '.join([*wrong, *more])})" if wrong else ""
    return Rule(behaviour.name, bool(right.mean() >= behaviour.share), detail + said)


def _given(value: Any, column: Column) -> Any:
    return (text_of(value) or None) if column.kind == "category" else value


def _answer(value: Any, schema: Schema) -> float:
    """The answer as a number; NaN if it cannot be one of this kind of target."""
    if schema.target_kind == "multiclass":
        return float(schema.classes.index(text_of(value))) if text_of(value) in schema.classes else np.nan
    is_number = isinstance(value, (int, float)) and np.isfinite(value)
    return float(value) if is_number and (schema.target_kind == "regression" or value in (0, 1)) else np.nan


def _shown(value: float, schema: Schema) -> str:
    return schema.classes[int(value)] if schema.target_kind == "multiclass" else f"{value:.4g}"


def _percent(share: float) -> str:
    return f"{share * 100:.4g} %"


def _columns(schema: Schema) -> dict[str, Column]:
    return {column.name: column for column in schema.features}


def _change_mistakes(behaviour: ChangeBehaviour, schema: Schema) -> list[str]:
    column, change = _columns(schema).get(behaviour.column), behaviour.change
    if column is None:
        return [f"changes {behaviour.column!r}, and the columns are {', '.join(_columns(schema))}"]
    mistakes = []
    if column.kind == "category" and (change.add is not None or change.multiply is not None):
        mistakes.append(f"calculates with {column.name!r}, which is a category: use set or missing")
    if column.kind == "number" and isinstance(change.set, str):
        mistakes.append(f"sets {column.name!r}, which is a number, to {change.set!r}")
    if schema.target_kind == "multiclass" and behaviour.expect != "same":
        mistakes.append(f"expects the answer to go {behaviour.expect}, and a class has no direction: use same")
    return mistakes


def _row_mistakes(behaviour: RowsBehaviour, schema: Schema) -> list[str]:
    mistakes, columns = [], _columns(schema)
    for number, row in enumerate(behaviour.rows, start=1):
        unknown = sorted(set(row) - set(columns) - {schema.target})
        if unknown:
            mistakes.append(f"row {number} holds {', '.join(unknown)}, and the columns are {', '.join(columns)}")
        if np.isnan(_answer(row.get(schema.target), schema)):
            kinds = {"binary": "0 or 1", "multiclass": f"one of {', '.join(schema.classes)}", "regression": "a number"}
            found = f"found {row.get(schema.target)!r}"
            mistakes.append(
                f"row {number} must hold the answer {schema.target} as {kinds[schema.target_kind]}, {found}"
            )
        for name in set(row) & set(columns):
            value = row[name]
            if columns[name].kind == "number" and value is not None and not isinstance(value, (int, float)):
                mistakes.append(f"row {number} holds {value!r} in {name!r}, which is a number")
    return mistakes

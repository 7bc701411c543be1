"""What Evidently is asked about a window, and the page it draws: drift of each column, quality, and what is missing.

The sizes are distances and no p-values: with thousands of rows every real change is significant, and few matter.
What Evidently cannot stand was sorted out before (`guards`); what follows is decided after (`deciding`).
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC
from typing import Any

import numpy.typing as npt
import pandas as pd
from evidently import (
    BinaryClassification,
    DataDefinition,
    Dataset,
    MulticlassClassification,
    Regression,
    Report,
    Run,
)
from evidently.core.metric_types import SingleValue, SingleValueCalculation, SingleValueMetric
from evidently.legacy.renderers.html_widgets import CounterData, counter
from evidently.metrics import ValueDrift
from evidently.presets import ClassificationPreset, RegressionPreset

from components.monitoring.shifts import PREDICTION, Shift
from components.monitoring.tabling import column_tables
from components.records.rows import TargetKind
from components.records.watching import ColumnFacts, Window

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]

# Average way a value has to move, in standard deviations of the reference: 0.1 is the whole column moved by a tenth of
# one. Unlike PSI it needs no bins, of which an empty one counts for much: a PSI of 8 and one of 3 say the same.
NUMBER_METHOD = "wasserstein"
# Distance between 0 and 0.83 (the root of ln 2); of two categories 50:50 that become 64:36, it is 0.1.
CATEGORY_METHOD = "jensenshannon"
# Large figures in a line on top of the page; more of them run into each other.
COUNTERS = 5


class Measured(SingleValueMetric):
    """A number that was measured on all rows of the window, kept in the run for the dashboard.

    The number travels in the data's metadata and not in this class: Evidently draws one line for each set of fields.
    """

    name: str


class MeasuredCalculation(SingleValueCalculation[Measured]):
    """Takes the number out of the data's metadata."""

    def calculate(self, context: Any, current_data: Dataset, reference_data: Dataset | None) -> SingleValue:
        """The number of that name."""
        return self.result(float(current_data.metadata["numbers"][self.metric.name]))

    def display_name(self) -> str:
        """The name, as the dashboard shows it."""
        return str(self.metric.name).replace("_", " ")


def draw_drift(
    window: dict[str, Array], reference: dict[str, Array], shifts: Sequence[Shift]
) -> tuple[list[Run], list[Shift]]:
    """Evidently's run over the columns, and the shifts with what it drew of each.

    One column that it cannot draw would end the run: numbers too large or too close for ten bars. It is left out of the
    pictures, and nowhere else.

    Args:
        window: Columns of shape (rows,), none of them empty: float64 with NaN where missing, or folded categories.
        reference: The same columns, of shape (reference rows,).
        shifts: How far each column moved.

    Returns:
        No run where no column can be drawn.
    """
    try:
        found = [_drawn(window, reference, shifts)] if shifts else []
    except Exception as err:  # noqa: BLE001  whatever numpy and plotly raise
        if len(shifts) == 1:
            log.warning("column could not be drawn name=%s reason=%s", shifts[0].column, err)
            return [], list(shifts)
        able = [shift for shift in shifts if draw_drift(window, reference, [shift])[0]]
        found = [_drawn(window, reference, able)] if able else []
    widgets = {name: drawn for _, columns in found for name, drawn in columns.items()}
    return [run for run, _ in found], [replace(shift, widgets=widgets.get(shift.column, ())) for shift in shifts]


def _drawn(
    window: dict[str, Array], reference: dict[str, Array], shifts: Sequence[Shift]
) -> tuple[Run, dict[str, tuple[Any, ...]]]:
    names = [shift.column for shift in shifts]
    categories = [name for name in names if window[name].dtype.kind != "f"]
    definition = DataDefinition(
        numerical_columns=[name for name in names if name not in categories], categorical_columns=categories
    )
    asked = [ValueDrift(column=each.column, method=each.method, threshold=each.threshold) for each in shifts]
    sides = (pd.DataFrame({name: side[name] for name in names}) for side in (window, reference))
    now, then = (Dataset.from_pandas(side, data_definition=definition) for side in sides)
    run = Report(asked).run(now, then)
    results = {metric.column: run.metric_results[metric.metric_id] for metric in asked}
    return run, {name: tuple(result.get_widgets()) for name, result in results.items()}


def measure_quality(labelled: pd.DataFrame, kind: TargetKind) -> Run:
    """Evidently's run over rows with `label`, `prediction` and, for a binary target, `probability`.

    There is no reference in it: the only rows with labels that a version carries are those it learned from, and
    to be worse than on those is no news.
    """
    if kind == "regression":
        definition = DataDefinition(regression=[Regression(target="label", prediction=PREDICTION)])
        preset = RegressionPreset()
    elif kind == "binary":
        task = BinaryClassification(target="label", prediction_labels=PREDICTION, prediction_probas="probability")
        definition, preset = DataDefinition(classification=[task]), ClassificationPreset()
    else:
        task = MulticlassClassification(target="label", prediction_labels=PREDICTION)
        definition, preset = DataDefinition(classification=[task]), ClassificationPreset()
    return Report([preset]).run(Dataset.from_pandas(labelled, data_definition=definition), None)


def assemble(
    window: Window,
    numbers: dict[str, float],
    shifts: Sequence[Shift],
    columns: Sequence[ColumnFacts],
    *,
    runs: Sequence[Run],
    labels: dict[str, str],
    reference: str = "training",
    breaks: Sequence[str] = (),
) -> Run:
    """One run out of several, dated at the window's end: numbers first, then tables, then what each run drew.

    Args:
        window: The stretch of event time.
        numbers: What was measured on all rows, by name: what the dashboard draws.
        shifts: How far each column moved; drawn with the drifted first.
        columns: What is known of each input column.
        runs: Runs of `draw_drift` and `measure_quality`.
        labels: The numbers as they are shown on top of the page, by label.
        reference: What the inputs were compared with.
        breaks: Schema checks that the window fails.
    """
    told = {"numbers": {name: str(value) for name, value in numbers.items()}}
    empty = Dataset.from_pandas(pd.DataFrame({"row": [0]}), data_definition=DataDefinition(), metadata=told)
    # Without a zone, as Evidently dates its own runs: its dashboard compares the two and fails on a mixture.
    end = window.end.astimezone(UTC).replace(tzinfo=None)
    kept = Report([Measured(name=name) for name in numbers]).run(empty, None, timestamp=end, name=str(window))
    models = [run.to_snapshot_model() for run in (kept, *runs)]
    drawn = {widget.id for shift in shifts for widget in shift.widgets}
    quality = [widget for model in models[1:] for widget in model.widgets if widget.id not in drawn]
    ordered = sorted(shifts, key=lambda shift: (shift.column != PREDICTION, -shift.size / shift.threshold))
    counters = [CounterData(label, text) for label, text in labels.items()]
    lines = [counters[at : at + COUNTERS] for at in range(0, len(counters), COUNTERS)]
    top = [counter(title="" if at else f"Window {window}", counters=line) for at, line in enumerate(lines)]
    tables = column_tables(columns, shifts, reference=reference, breaks=breaks)
    return Run.load_model(
        models[0].copy(
            update={
                "metric_results": {key: value for model in models for key, value in model.metric_results.items()},
                "top_level_metrics": [key for model in models for key in model.top_level_metrics],
                "widgets": [
                    *top,
                    *tables,
                    *quality,
                    *(w for s in ordered for w in s.widgets),
                ],
            }
        )
    )

"""How good one model is on one set of rows: all its metrics, slice by slice too, with the pictures.

A scorecard is for people and for the registry. Whether a model may go live is not read from it: `judging` compares two
models row by row.
"""

import logging
from pathlib import Path

import numpy as np
import polars

from components.errors import SchemaMismatch
from components.evaluation.metrics import measure_all, metric_named
from components.evaluation.plots import draw_plots
from components.evaluation.predicting import Outputs, predict
from components.evaluation.truths import true_answers
from components.records.rows import Part, Schema
from components.records.scores import Scorecard
from components.settings.evaluation import EvaluationSettings

log = logging.getLogger(__name__)

# A number column with more values than this is sliced at its quartiles instead of value by value.
SLICE_VALUES = 20


def score(graph: Path, part: Part, schema: Schema, settings: EvaluationSettings, folder: Path) -> Scorecard:
    """The scorecard of a graph on the part's rows, with its plots drawn into the folder.

    Args:
        graph: ONNX file from raw row to prediction.
        part: Labelled rows that the model did not learn from.
        schema: The schema that the graph was exported with.
        settings: The metric that decides, and the columns to slice by.
        folder: Where the PNG files go; made if it is not there.

    Returns:
        All metrics that are defined on the rows. Each slice also holds its number of `rows`.

    Raises:
        ModelRefused: If the graph cannot be run.
        ProjectFileError: If the metric does not exist for this kind of target.
        SchemaMismatch: If a feature, the target or a slice column is missing.
    """
    metric = metric_named(settings.metric, schema.target_kind)
    frame = polars.read_parquet(part.path)
    truth, outputs = true_answers(frame, schema), predict(graph, frame, schema)
    metrics = measure_all(schema.target_kind, truth, outputs.prediction, outputs.probability)
    if metric.name not in metrics:
        log.warning("deciding metric undefined, the judge will not promote metric=%s rows=%d", metric.name, part.rows)
    slices = _slices(frame, truth, outputs, schema, settings)
    folder.mkdir(parents=True, exist_ok=True)
    plots = draw_plots(truth, outputs, schema, metrics, slices, metric.name, folder)
    return Scorecard(metrics, frame.height, part.sha256, slices=slices, plots=plots)


def _slices(
    frame: polars.DataFrame, truth: np.ndarray, outputs: Outputs, schema: Schema, settings: EvaluationSettings
) -> dict[str, dict[str, float]]:
    """The metrics of each slice of enough rows, largest slices of a column first."""
    absent = [name for name in settings.slices if name not in frame.columns]
    if absent:
        raise SchemaMismatch(
            f"evaluation.slices names {absent}, but the rows hold {frame.columns}; correct the project file"
        )
    found: dict[str, dict[str, float]] = {}
    for name in settings.slices:
        labels = _slice_labels(frame[name])
        for label, rows in labels.value_counts(sort=True).iter_rows():
            if rows >= settings.slice_rows:
                chosen = (labels == label).to_numpy()
                probability = None if outputs.probability is None else outputs.probability[chosen]
                values = measure_all(schema.target_kind, truth[chosen], outputs.prediction[chosen], probability)
                found[f"{name}={label}"] = {"rows": float(rows), **values}
    return found


def _slice_labels(column: polars.Series) -> polars.Series:
    """The name of each row's slice: its value, or the quarter of the values it is in."""
    if column.dtype.is_numeric() and column.n_unique() > SLICE_VALUES:
        numbers = column.cast(polars.Float64).fill_nan(None)
        edges = np.unique(np.quantile(numbers.drop_nulls().to_numpy(), [0.25, 0.5, 0.75]))
        column = numbers.cut(edges.tolist())
    return column.cast(polars.String).fill_null("missing")

"""How good one model is on one set of rows: its metrics and how sure they are, where it is weak, what it costs.

A scorecard is for people and for the registry. Whether a model may go live is not read from it: `judging` compares two
models row by row.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars

from components.cost.costs import million_predictions_cost, training_cost
from components.errors import NotEnoughRows
from components.evaluation.behaviours import check_behaviours, run_behaviours
from components.evaluation.comparators import fit_comparator
from components.evaluation.groups import group_gaps
from components.evaluation.metrics import Metric, measure, measure_all, metric_named
from components.evaluation.page import write_page
from components.evaluation.plots import Intervals, draw_plots, draw_slices
from components.evaluation.predicting import Array, Outputs, predict
from components.evaluation.resampling import bootstrap_intervals, surprises
from components.evaluation.slicing import declared_slices, find_slices
from components.evaluation.truths import true_answers
from components.records.models import Variant
from components.records.rows import Schema, Split
from components.records.scores import Scorecard
from components.settings.evaluation import EvaluationSettings
from components.settings.project import CostSettings

log = logging.getLogger(__name__)

# Of the intervals in the picture of the slices, whose ends are read to a hair's breadth and no further.
SLICE_RESAMPLES = 200
# Of the comparators: the same for every version, so that a margin never moves by their chance.
SEED = 7


@dataclass(frozen=True, slots=True, eq=False)
class _Answered:
    """The rows, what is true and what the model answered."""

    frame: polars.DataFrame
    truth: Array
    outputs: Outputs
    schema: Schema
    metric: Metric
    settings: EvaluationSettings

    def measured(self, rows: Array) -> dict[str, float]:
        """All metrics of some rows."""
        truth, prediction, probability = self.at(rows)
        return {"rows": float(rows.sum()), **measure_all(self.schema.target_kind, truth, prediction, probability)}

    def at(self, rows: Array) -> tuple[Array, Array, Array | None]:
        """Truth, prediction and probability of some rows."""
        probability = self.outputs.probability
        return self.truth[rows], self.outputs.prediction[rows], None if probability is None else probability[rows]


def score(
    variant: Variant,
    split: Split,
    settings: EvaluationSettings,
    folder: Path,
    *,
    cost: CostSettings | None = None,
    fit_seconds: float = 0.0,
) -> Scorecard:
    """The scorecard of a variant on the split's test rows, with its pictures and its page in the folder.

    Args:
        variant: The graph that will be served; measured, or its latency is left out.
        split: Its test rows are scored; comparators learn from its training rows.
        settings: The metric that decides, slices, groups, comparators, behaviours.
        folder: Where the PNG files and `scorecard.html` go; made if it is not there.
        cost: Prices; what has none is left out.
        fit_seconds: Wall seconds that its training took.

    Returns:
        All metrics that are defined on the rows. Each slice also holds its number of `rows`; columns of groups are
        sliced as well. A comparator on which the deciding metric is not defined has no margin.

    Raises:
        ModelRefused: If the graph cannot be run.
        ProjectFileError: If the metric does not exist for this kind of target, or a behaviour cannot be meant.
        SchemaMismatch: If a feature, the target, a slice or a group column is missing.
    """
    schema = variant.schema
    metric = metric_named(settings.metric, schema.target_kind)
    check_behaviours(schema, settings)
    frame = polars.read_parquet(split.test.path)
    outputs = predict(variant.path, frame, schema)
    answered = _Answered(frame, true_answers(frame, schema), outputs, schema, metric, settings)
    metrics = measure_all(schema.target_kind, answered.truth, outputs.prediction, outputs.probability)
    if metric.name not in metrics:
        log.warning(
            "deciding metric undefined, the judge will not promote metric=%s rows=%d", metric.name, frame.height
        )
    declared, found = _masks(answered) if metrics else ({}, {})
    card = Scorecard(
        metrics=metrics | _costs(variant, cost or CostSettings(), fit_seconds),
        rows=frame.height,
        table_sha256=split.test.sha256,
        intervals=_intervals(answered, metrics),
        slices={name: answered.measured(rows) for name, rows in declared.items()},
        found_slices={name: answered.measured(rows) for name, rows in found.items()},
        gaps=group_gaps(frame, answered.truth, outputs, schema.target_kind, settings),
        margins=_margins(answered, split, metrics),
        behaviours=run_behaviours(variant.path, frame, schema, settings),
    )
    folder.mkdir(parents=True, exist_ok=True)
    card = replace(card, plots=_plots(answered, card, declared | found, folder))
    return replace(card, page=write_page(card, schema, settings, folder))


def _masks(answered: _Answered) -> tuple[dict[str, Array], dict[str, Array]]:
    """The rows of each declared slice, and of each that was found."""
    settings, schema = answered.settings, answered.schema
    columns = tuple(dict.fromkeys((*settings.slices, *settings.groups)))
    declared = declared_slices(answered.frame, columns, min_rows=settings.slice_rows)
    found = find_slices(
        answered.frame,
        [column.name for column in schema.features],
        _losses(answered),
        declared=columns,
        min_rows=settings.slice_rows,
        most=settings.find_slices,
    )
    return declared, found


def _losses(answered: _Answered) -> Array:
    """What each row loses, shape (rows,): squared error, or surprise in nats."""
    if answered.schema.target_kind == "regression":
        return np.square(answered.truth - answered.outputs.prediction)
    return surprises(answered.truth, answered.outputs.probability)


def _intervals(answered: _Answered, metrics: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    if not metrics:
        return {}
    settings, everything = answered.settings, answered.at(np.ones(answered.frame.height, dtype=bool))
    return bootstrap_intervals(metrics, *everything, confidence=settings.confidence, resamples=settings.bootstrap)


def _margins(answered: _Answered, split: Split, metrics: Mapping[str, float]) -> dict[str, float]:
    """By how much the model is better than each simple one in the deciding metric."""
    metric, margins = answered.metric, dict[str, float]()
    for name in answered.settings.comparators if metric.name in metrics else ():
        simple = fit_comparator(name, split.train, answered.schema, seed=SEED).answers(answered.frame)
        try:
            value = measure(metric.name, answered.truth, simple.prediction, simple.probability)
        except NotEnoughRows as err:
            log.warning("comparator left out name=%s reason=%s", name, err)
        else:
            gain = metrics[metric.name] - value
            margins[name] = -gain if metric.lower_is_better else gain
    return margins


def _costs(variant: Variant, cost: CostSettings, fit_seconds: float) -> dict[str, float]:
    """Latency, size and money, as far as they were measured and have a price."""
    found = {"size_mb": variant.megabytes}
    if variant.footprint is not None:
        one_row = variant.footprint.at(1)
        found |= {
            "latency_p50_ms": one_row.p50_ms,
            "latency_p99_ms": one_row.p99_ms,
            "rows_per_second": variant.footprint.rows_per_second,
            "load_ms": variant.footprint.load_ms,
            "peak_mb": variant.footprint.peak_mb,
        }
        if cost.serve_hour > 0:
            found["cost_per_million"] = million_predictions_cost(variant.footprint.rows_per_second, cost.serve_hour)
    if cost.train_hour > 0 and fit_seconds > 0:
        found["training_cost"] = training_cost(fit_seconds, cost.train_hour)
    return found


def _plots(answered: _Answered, card: Scorecard, masks: Mapping[str, Array], folder: Path) -> tuple[Path, ...]:
    plots = draw_plots(answered.truth, answered.outputs, answered.schema, card.metrics, folder)
    metric = answered.metric.name
    if metric not in card.metrics:
        return plots
    intervals = _slice_intervals(answered, card, masks)
    overall = card.metrics[metric]
    return plots + draw_slices(card.slices, card.found_slices, intervals, overall, metric, folder)


def _slice_intervals(answered: _Answered, card: Scorecard, masks: Mapping[str, Array]) -> Intervals:
    metric, found = answered.metric.name, {}
    for name, values in (card.slices | card.found_slices).items():
        if metric in values:
            ends = bootstrap_intervals(
                (metric,),
                *answered.at(masks[name]),
                confidence=answered.settings.confidence,
                resamples=SLICE_RESAMPLES,
            )
            found[name] = ends.get(metric, (values[metric], values[metric]))
    return found

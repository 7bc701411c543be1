"""What can be said of a window's answers: how good they were or should be, what labels came, what answering took.

How good is the business of `quality`, `intervals` and `expected`; here they are asked, and the rest is counted.
"""

import logging
from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl

from components.cost.costs import serving_cost
from components.monitoring.expected import Expected, anchored, expected_quality
from components.monitoring.intervals import interval
from components.monitoring.quality import answered
from components.monitoring.references import reference_rows
from components.records.models import ModelFiles
from components.records.rows import Schema
from components.records.watching import WindowFacts
from components.settings.project import Project

log = logging.getLogger(__name__)

HOUR = timedelta(hours=1)
# All that is looked at of a labelled row: copying its inputs would take most of the memory of a large window again.
LOOKED_AT = ("label", "prediction", "probability", "probabilities", "received_at", "labelled_at")


def answer_facts(facts: WindowFacts, frame: pl.DataFrame, files: ModelFiles, project: Project) -> WindowFacts:
    """The facts, with those that follow from the answers and their labels.

    Args:
        facts: The window's facts so far.
        frame: All rows of the window as `components.data.windows.read_window` gives them, none included. What a frame
            from elsewhere does not have (`labelled_at`, `is_contradicted`, `request_id`, `latency_ms`) stays unknown.
        files: The version that gave most of the answers.
        project: Metric, thresholds and prices.

    Returns:
        Calibration, and quality with its interval, from `trigger.min_labelled_rows` labels on; expected quality for any
        number of rows, on the scale of `facts.reference_quality` where that is known. Neither quality is there without
        an interval. `label_delay_hours` counts a label that came before its prediction as one that came at once.

    Raises:
        ProjectFileError: If the project's metric is unknown.
        ModelRefused: If the version cannot answer its own training rows.
    """
    facts = replace(facts, training_cost=files.metrics.get("training_cost"))
    if frame.is_empty():
        return facts
    labelled = labelled_answers(frame)
    facts = _with_labels(facts, frame, labelled)
    facts = _with_requests(facts, frame, project)
    if labelled.height >= project.monitoring.trigger.min_labelled_rows:
        facts = _with_quality(facts, labelled, files.schema, project.evaluation.metric)
    expected = _expected(facts, frame, files, project.evaluation.metric)
    if expected is None:
        return facts
    return replace(facts, expected_quality=expected.value, expected_low=expected.low, expected_high=expected.high)


def labelled_answers(frame: pl.DataFrame) -> pl.DataFrame:
    """Label and answer of each row whose label has come, without its inputs."""
    looked_at = [name for name in LOOKED_AT if name in frame.columns]
    return frame.select(looked_at).filter(pl.col("label").is_not_null())


def _expected(facts: WindowFacts, frame: pl.DataFrame, files: ModelFiles, metric: str) -> Expected | None:
    expected = expected_quality(frame, files.schema, metric)
    if expected is None or facts.reference_quality is None:
        return expected
    usual = expected_quality(reference_rows(files), files.schema, metric)
    return expected if usual is None else anchored(expected, usual, facts.reference_quality, metric)


def _with_labels(facts: WindowFacts, frame: pl.DataFrame, labelled: pl.DataFrame) -> WindowFacts:
    delay = None
    if not labelled.is_empty() and {"labelled_at", "received_at"} <= set(frame.columns):
        waited = (pl.col("labelled_at") - pl.col("received_at")).clip(lower_bound=timedelta())
        delay = labelled.select(waited.median()).item()
    conflicts = frame["is_contradicted"].sum() if "is_contradicted" in frame.columns else 0
    return replace(
        facts,
        label_coverage=labelled.height / frame.height,
        label_delay_hours=None if delay is None else delay / HOUR,
        label_conflicts=int(conflicts),
    )


def _with_requests(facts: WindowFacts, frame: pl.DataFrame, project: Project) -> WindowFacts:
    """The rows of one request share its latency, so it counts once; a request that the window cuts counts whole."""
    if not {"request_id", "latency_ms"} <= set(frame.columns):
        return facts
    latencies = frame.select("request_id", "latency_ms").unique("request_id", keep="any")["latency_ms"].drop_nulls()
    if latencies.is_empty():
        return facts
    p50, p99 = np.quantile(latencies.to_numpy(), [0.5, 0.99], method="higher")
    price = project.cost.serve_hour
    cost = serving_cost(float(latencies.sum()) / 1000, price) if price > 0 else None
    return replace(facts, p50_ms=float(p50), p99_ms=float(p99), serving_cost=cost)


def _with_quality(facts: WindowFacts, labelled: pl.DataFrame, schema: Schema, metric: str) -> WindowFacts:
    """A quality of which nobody can say how sure it is says nothing: with eight positives an area may be anything."""
    rows = answered(labelled, schema)
    if rows is None:
        return facts
    facts = replace(facts, calibration_error=rows.value("calibration_error"))
    quality = rows.value(metric)
    ends = None if quality is None else interval(rows, metric, quality)
    if ends is None:
        return facts
    return replace(facts, quality=quality, quality_low=ends[0], quality_high=ends[1])

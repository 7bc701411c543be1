"""How good the answers of a window should be, as long as no label tells how good they were.

A calibrated model says how sure it is: of the rows to which it gives 0.8, 80 % are of class 1. So each row is counted
as right to the chance that the model itself gives it, and the metric follows without a label (confidence-based
performance estimation, CBPE).

What it assumes is that the probabilities are still calibrated. It sees when the traffic moves to rows that are harder
or easier to tell apart. It does NOT see when the same inputs begin to mean something else: with all labels flipped it
says what it said before, since no input shows it. Nor does it correct a model that is too sure of itself everywhere:
the `calibration_error` of windows that have labels says how far to trust it. So what the version expects of a window is
told beside what it expects of its own training rows (`anchored`): what it is wrong about everywhere cancels out. A fall
is a reason to look, not a proof.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from components.monitoring.intervals import auc_spread, drawn_spread, ends
from components.monitoring.quality import METRICS, SMALLEST_PROBABILITY, Answered, Outputs, metric_named, outputs_of
from components.records.rows import Schema

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]

# Probabilities of float32 add up to one only so well; more than this and they are none.
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Expected:
    """What a metric should be, with the ends between which it would be measured in 95 of 100 such windows."""

    value: float
    low: float
    high: float


def expected_quality(frame: pl.DataFrame, schema: Schema, name: str) -> Expected | None:
    """The metric that the version's own probabilities let expect on these rows; no label is looked at.

    Args:
        frame: Rows with `prediction` and `probability` (or `probabilities`).
        schema: Kind of the target, and its classes.
        name: One of the metrics.

    Returns:
        None for a regression, for a metric that cannot be expected (`calibration_error` is assumed to be 0), without
        rows, with answers that are no probabilities, or with too few rows to say how sure it is: for an area under the
        ROC curve fewer than ten expected of a class.

    Raises:
        ProjectFileError: If there is no such metric.

    Source:
        Guillory et al. (2021), Predicting with Confidence on Unseen Distributions, arXiv:2107.03315, for accuracy; the
        CBPE of NannyML for the other metrics. The area under the ROC curve here leaves a row's pair with itself out.
    """
    metric_named(name)
    if name not in _EXPECTED or (name in _OF_ONE_CLASS and schema.target_kind != "binary"):
        return None
    if schema.target_kind == "regression" or frame.is_empty():
        return None
    outputs = outputs_of(frame, schema)
    chances = None if outputs is None else _chances(outputs)
    if outputs is None or chances is None:
        return None
    with np.errstate(all="ignore"):
        value = _EXPECTED[name](chances, outputs)
    reach = ends(name, value, _spread(chances, outputs, name)) if np.isfinite(value) else None
    return None if reach is None else Expected(value, *reach)


def anchored(expected: Expected, usual: Expected, reference: float, name: str) -> Expected:
    """The expectation on the scale of the metric at registration: that value, moved by what is expected to differ.

    One temperature leaves a model too modest about its surest rows: of flights without any drift it expected an average
    precision of 0.443 and had 0.490, and so lost 0.037 against the registration before anything had happened. By what
    it expects of the rows it learned from, it had 0.481 to expect.

    Args:
        expected: Of the window.
        usual: Of the version's own training rows.
        reference: The metric at registration.
        name: The metric.
    """
    metric, moved = metric_named(name), reference - usual.value
    values = (expected.value + moved, expected.low + moved, expected.high + moved)
    return Expected(*(min(max(value, metric.low), metric.high) for value in values))


def _chances(outputs: Outputs) -> Array | None:
    """The chance of each class, shape (rows, classes), each row adding up to 1; None if the answers are none."""
    chances = outputs.probability
    if chances is None:
        return None
    if chances.ndim == 1:
        chances = np.stack([1 - chances, chances], axis=1)
    total = chances.sum(axis=1, keepdims=True)
    if chances.min() < 0 or np.abs(total - 1).max() > SUM_TOLERANCE:
        log.warning("expected quality left out reason=answers that are no probabilities")
        return None
    return np.asarray(chances / total)


def _spread(chances: Array, outputs: Outputs, name: str) -> float | None:
    """Of the metric over samples of as many rows, with labels that come true as often as their chance says."""
    if name == "roc_auc":
        return auc_spread(chances[:, 1], chances[:, 1])
    below = np.cumsum(chances, axis=1)[:, :-1]

    def draw(generator: np.random.Generator, drawn: Array) -> Answered:
        truth = (generator.random(drawn.size)[:, None] >= below[drawn]).sum(axis=1)
        return Answered(truth, outputs.at(drawn))

    return drawn_spread(name, draw, chances.shape[0])


def _roc_auc(chances: Array, outputs: Outputs) -> float:
    """Of all pairs of two rows, each in both orders: the second's chance of class 0 times the first's of class 1."""
    positive = chances[:, 1]
    pairs = positive.sum() * (1 - positive).sum()
    with_itself = (positive * (1 - positive)).sum()
    won = METRICS["roc_auc"].function(positive, outputs.prediction, positive) * pairs
    return float((won - with_itself / 2) / (pairs - with_itself))


def _average_precision(chances: Array, outputs: Outputs) -> float:
    """A row that is of class 1 is so with certainty in its own precision: hence the variance of each label."""
    positive = chances[:, 1]
    order = np.argsort(-positive)
    last_of_tie = np.append(np.flatnonzero(np.diff(positive[order])), positive.size - 1)
    caught, doubt = (np.cumsum(values[order])[last_of_tie] for values in (positive, positive * (1 - positive)))
    steps = np.diff(caught, prepend=0) * caught + np.diff(doubt, prepend=0)
    return float((steps / (last_of_tie + 1)).sum() / caught[-1])


def _log_loss(chances: Array, outputs: Outputs) -> float:
    return float(-(chances * np.log(np.clip(chances, SMALLEST_PROBABILITY, 1))).sum(axis=1).mean())


def _brier(chances: Array, outputs: Outputs) -> float:
    return float(np.prod(chances, axis=1).mean())


def _of_prediction(chances: Array, outputs: Outputs) -> Array:
    """The chance of the class that was answered, shape (rows,)."""
    return chances[np.arange(chances.shape[0]), outputs.prediction.astype(np.int64)]


def _accuracy(chances: Array, outputs: Outputs) -> float:
    return float(_of_prediction(chances, outputs).mean())


def _macro_f1(chances: Array, outputs: Outputs) -> float:
    """From the expected number of rows of each class, answered and right; a class that hardly occurs does not count."""
    classes = chances.shape[1]
    told = outputs.prediction.astype(np.int64)
    right = np.bincount(told, weights=_of_prediction(chances, outputs), minlength=classes)
    answered, true = np.bincount(told, minlength=classes), chances.sum(axis=0)
    occurs = (answered > 0) | (true >= 0.5)
    return float(np.mean(2 * right[occurs] / (answered + true)[occurs]))


# Metrics that speak of one class's probability, so that they exist for two classes only.
_OF_ONE_CLASS = ("roc_auc", "average_precision", "brier")

_EXPECTED: dict[str, Callable[[Array, Outputs], float]] = {
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "log_loss": _log_loss,
    "brier": _brier,
    "accuracy": _accuracy,
    "macro_f1": _macro_f1,
}

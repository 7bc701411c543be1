"""The numbers that say how good a model is, by name, with their range and direction.

This is the one place that knows which metric exists for which kind of target. It does not read files, run models or
compare two models: `predicting`, `scorecards` and `judging` do.

All functions take the same three arrays, so that any of them can decide a contest:

    truth         shape (rows,); 0 or 1 | class index | value in the target's unit
    prediction    shape (rows,); the same, as predicted
    probability   shape (rows,) of class 1 | (rows, classes), each row summing to 1 | None for regression

A metric that is not defined on the rows (one class only, NaN in a prediction) is NaN inside and `NotEnoughRows`
outside: it never becomes a number that could win.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_calibration_error,
    multiclass_calibration_error,
    multiclass_f1_score,
)

from components.errors import NotEnoughRows, ProjectFileError
from components.evaluation.predicting import Array
from components.records.rows import TargetKind

log = logging.getLogger(__name__)

# Fifteen confidence bins, as in Guo et al. (2017), arXiv:1706.04599, so that the error can be compared with papers.
CALIBRATION_BINS = 15
# Smallest probability that log_loss believes: a float32 sigmoid reaches 0 and 1, and one such row would be infinite.
SMALLEST_PROBABILITY = 1e-7


@dataclass(frozen=True, slots=True)
class Metric:
    """One way to say how good predictions are.

    Attributes:
        name: What the project file, MLflow and the verdicts call it.
        function: `(truth, prediction, probability) -> float`; NaN where it is not defined.
        lower_is_better: Its direction.
        kinds: The kinds of target it exists for.
        low: Smallest value it can take.
        high: Largest value it can take.
    """

    name: str
    function: Callable[[Array, Array, Array | None], float]
    lower_is_better: bool
    kinds: tuple[TargetKind, ...]
    low: float
    high: float


def metric_named(name: str, kind: TargetKind | None = None) -> Metric:
    """The metric of that name, which also exists for this kind of target.

    Raises:
        ProjectFileError: If there is none; the message lists those there are.
    """
    fitting = [metric.name for metric in METRICS.values() if kind is None or kind in metric.kinds]
    if name not in fitting:
        raise ProjectFileError(
            f"evaluation.metric must be one of {', '.join(fitting)} for a target of kind {kind or 'any'}, "
            f"but it is {name!r}; correct it in the project file"
        )
    return METRICS[name]


def measure(name: str, truth: Array, prediction: Array, probability: Array | None) -> float:
    """The metric's finite value on these rows, in the range that `METRICS` states.

    Args:
        name: One of `METRICS`.
        truth: True answers, shape (rows,).
        prediction: Predicted answers, shape (rows,).
        probability: Probabilities, shape (rows,) or (rows, classes); None for regression.

    Raises:
        NotEnoughRows: If the metric is not defined on these rows: none, one class only, or values that are not finite.
        ProjectFileError: If there is no such metric.
    """
    metric = metric_named(name)
    value = float("nan")
    if truth.shape[0] and all(is_finite(values) for values in (truth, prediction, probability)):
        value = metric.function(truth, prediction, probability)
    if not np.isfinite(value):
        raise NotEnoughRows(
            f"{name} wants finite predictions and rows on which it is defined, but found "
            f"{_describe(truth, prediction, probability)}; score on more rows, or mend the broken values"
        )
    return value


def measure_all(kind: TargetKind, truth: Array, prediction: Array, probability: Array | None) -> dict[str, float]:
    """Every metric of this kind of target that is defined on these rows; the others are left out."""
    values = {}
    for metric in METRICS.values():
        if kind in metric.kinds:
            try:
                values[metric.name] = measure(metric.name, truth, prediction, probability)
            except NotEnoughRows as err:
                log.debug("metric left out name=%s reason=%s", metric.name, err)
    return values


def is_finite(values: Array | None) -> bool:
    """Whether no value is NaN or infinite; an array that is not there has none."""
    return values is None or bool(np.isfinite(values).all())


def roc_auc(truth: Array, prediction: Array, probability: Array | None) -> float:
    """Chance that a row of class 1 is ranked above a row of class 0, ties counted half; 0 to 1, higher is better."""
    if probability is None or not 0 < truth.sum() < truth.shape[0]:
        return float("nan")
    return float(binary_auroc(_tensor(probability), _labels(truth), validate_args=False))


def average_precision(truth: Array, prediction: Array, probability: Array | None) -> float:
    """Area under precision over recall, by steps; 0 to 1, higher is better, chance is the share of class 1.

    Our own: torchmetrics' takes 3.2 ms for 12,000 rows, and a bootstrap asks a thousand times.
    """
    if probability is None or not truth.sum() > 0:
        return float("nan")
    caught, alarms = threshold_counts(truth, probability)
    return float((np.diff(caught) * (caught[1:] / (caught[1:] + alarms[1:]))).sum() / caught[-1])


def log_loss(truth: Array, prediction: Array, probability: Array | None) -> float:
    """Average surprise at the true class, in nats; 0 to 16.2 (as 1e-7 is the least probability), lower is better."""
    if probability is None:
        return float("nan")
    if probability.ndim == 1:
        of_truth = np.where(truth == 1, probability, 1 - probability)
    else:
        of_truth = probability[np.arange(truth.shape[0]), truth.astype(np.int64)]
    return float(-np.log(np.clip(of_truth, SMALLEST_PROBABILITY, 1)).mean())


def brier(truth: Array, prediction: Array, probability: Array | None) -> float:
    """Mean squared gap between probability and what happened; 0 to 1, lower is better."""
    return float("nan") if probability is None else float(np.square(probability - truth).mean())


def calibration_error(truth: Array, prediction: Array, probability: Array | None) -> float:
    """Average gap between stated probability and observed share, over 15 bins; 0 to 1, lower is better.

    Binary targets compare the probability of class 1, multiclass targets that of the class predicted.

    Source:
        Guo et al. (2017), On Calibration of Modern Neural Networks, arXiv:1706.04599.
    """
    if probability is None:
        return float("nan")
    scores, labels = _tensor(probability), _labels(truth)
    if probability.ndim == 1:
        return float(binary_calibration_error(scores, labels, n_bins=CALIBRATION_BINS, validate_args=False))
    classes = probability.shape[1]
    return float(multiclass_calibration_error(scores, labels, classes, n_bins=CALIBRATION_BINS, validate_args=False))


def accuracy(truth: Array, prediction: Array, probability: Array | None) -> float:
    """Share of rows answered right; 0 to 1, higher is better."""
    return float((truth == prediction).mean())


def macro_f1(truth: Array, prediction: Array, probability: Array | None) -> float:
    """F1 of each class that occurs, averaged with equal weight; 0 to 1, higher is better."""
    classes = int(max(truth.max(), prediction.max())) + 1
    return float(multiclass_f1_score(_labels(prediction), _labels(truth), max(classes, 2), validate_args=False))


def rmse(truth: Array, prediction: Array, probability: Array | None) -> float:
    """Root of the mean squared error, in the target's unit; 0 or more, lower is better."""
    return float(np.sqrt(np.square(truth - prediction).mean()))


def mae(truth: Array, prediction: Array, probability: Array | None) -> float:
    """Mean absolute error, in the target's unit; 0 or more, lower is better."""
    return float(np.abs(truth - prediction).mean())


def r2(truth: Array, prediction: Array, probability: Array | None) -> float:
    """Share of the target's variance that is explained; at most 1, higher is better, 0 is no better than the mean."""
    spread = np.square(truth - truth.mean()).sum()
    return float(1 - np.square(truth - prediction).sum() / spread) if spread > 0 else float("nan")


def threshold_counts(truth: Array, probability: Array) -> tuple[Array, Array]:
    """Rows of class 1 and of class 0 at or above each threshold, from none to all; equal scores are one threshold.

    Args:
        truth: True classes, shape (rows,), 0 or 1; at least one row.
        probability: Probabilities of class 1, shape (rows,).

    Returns:
        Two arrays of counts, each of shape (thresholds + 1,), starting at 0.
    """
    order = np.argsort(-probability)
    last_of_tie = np.append(np.flatnonzero(np.diff(probability[order])), truth.size - 1)
    caught = np.cumsum(truth[order])[last_of_tie]
    return np.append(0, caught), np.append(0, last_of_tie + 1 - caught)


def _tensor(values: Array) -> torch.Tensor:
    """The values as a float64 tensor: in float32, ranks of close probabilities would merge into ties."""
    return torch.from_numpy(np.require(values, np.float64, ["C", "W"]))


def _labels(values: Array) -> torch.Tensor:
    return torch.from_numpy(np.require(values, np.int64, ["C", "W"]))


def _describe(truth: Array, prediction: Array, probability: Array | None) -> str:
    """Rows, classes and broken values, for the error message."""
    answers = prediction if probability is None else probability
    broken = int((~np.isfinite(answers)).sum())
    distinct = np.unique(truth)
    shown = ", ".join(f"{value:g}" for value in distinct[:5])
    truths = f"{distinct.size:,} distinct true value(s) ({shown})"
    return f"{truth.shape[0]:,} rows, {truths} and {broken:,} broken prediction(s)"


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("roc_auc", roc_auc, False, ("binary",), 0, 1),
        Metric("log_loss", log_loss, True, ("binary", "multiclass"), 0, 16.2),
        Metric("average_precision", average_precision, False, ("binary",), 0, 1),
        Metric("brier", brier, True, ("binary",), 0, 1),
        Metric("calibration_error", calibration_error, True, ("binary", "multiclass"), 0, 1),
        Metric("accuracy", accuracy, False, ("binary", "multiclass"), 0, 1),
        Metric("macro_f1", macro_f1, False, ("multiclass",), 0, 1),
        Metric("rmse", rmse, True, ("regression",), 0, float("inf")),
        Metric("mae", mae, True, ("regression",), 0, float("inf")),
        Metric("r2", r2, False, ("regression",), float("-inf"), 1),
    )
}

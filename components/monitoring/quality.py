"""How good the answers of a window were, by the project's own metric, on every row whose label has come.

The metrics are those of `components.evaluation.metrics`, to the same definitions (a test compares them), in numpy
alone: rooms of one level do not import each other, and a monitor should not wait for torch. What cannot be measured is
None here and never a number: a window without quality breaches nothing.
"""

import difflib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from components.errors import ProjectFileError
from components.records.rows import Schema

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]

# The same constants as in scoring: a float32 sigmoid reaches 0 and 1, and 15 bins are what papers compare.
SMALLEST_PROBABILITY = 1e-7
CALIBRATION_BINS = 15


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's function `(truth, prediction, probability) -> float`, and what else must be known of it.

    Attributes:
        function: Looks at the probability or at the prediction.
        lower_is_better: Its direction.
        low: Smallest value it can take.
        high: Largest value it can take.
        of_probability: It looks at the probability.
    """

    function: Callable[[Array, Array, Array], float]
    lower_is_better: bool = False
    low: float = 0.0
    high: float = 1.0
    of_probability: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """What was answered, all of it finite.

    Attributes:
        prediction: 0 or 1, index of the class, or value; float64 of shape (rows,).
        probability: Of class 1, shape (rows,), or of each class, shape (rows, classes); None where there is none.
    """

    prediction: Array
    probability: Array | None

    def at(self, rows: Array) -> "Outputs":
        """The answers to some of the rows, in the order of `rows`."""
        return Outputs(self.prediction[rows], None if self.probability is None else self.probability[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """What was answered, and what turned out to be true.

    Attributes:
        truth: 0 or 1, index of the class, or value; shape (rows,), at least one row.
        outputs: The answers to the same rows.
    """

    truth: Array
    outputs: Outputs

    def value(self, name: str) -> float | None:
        """The metric on these rows; None where it is not defined, such as an area under a curve of one class."""
        metric, prediction, probability = metric_named(name), self.outputs.prediction, self.outputs.probability
        if metric.of_probability and probability is None:
            return None
        with np.errstate(all="ignore"):
            value = metric.function(self.truth, prediction, prediction if probability is None else probability)
        return float(value) if np.isfinite(value) else None


def metric_named(name: str) -> Metric:
    """The metric of that name.

    Raises:
        ProjectFileError: If there is none; the message names the nearest.
    """
    if name not in METRICS:
        raise ProjectFileError(
            f"evaluation.metric must be one of {', '.join(METRICS)}, but it is {name!r}; "
            f"did you mean {_nearest(name)!r}? Correct it in the project file"
        )
    return METRICS[name]


def loss_of(name: str, quality: float, reference: float) -> float:
    """How much worse `quality` is than `reference`, in the metric's unit; negative if it is better.

    Raises:
        ProjectFileError: If there is no such metric.
    """
    return quality - reference if metric_named(name).lower_is_better else reference - quality


def quality_of(labelled: pl.DataFrame, schema: Schema, name: str) -> float | None:
    """The metric on these rows, or None where it is not defined.

    Args:
        labelled: Rows whose `label` is there, with `prediction` and `probability` (or `probabilities`).
        schema: Kind of the target, and its classes.
        name: One of `METRICS`.

    Returns:
        A finite number; None with no rows, one class only, labels that the target cannot have, or broken predictions.

    Raises:
        ProjectFileError: If there is no such metric.
    """
    metric_named(name)
    rows = answered(labelled, schema)
    return None if rows is None else rows.value(name)


def answered(labelled: pl.DataFrame, schema: Schema) -> Answered | None:
    """Labels and answers as numbers; None with no rows, labels that the target cannot have, or broken predictions."""
    truth = _truth(labelled, schema)
    if truth is None or not truth.size:
        return None
    outputs = outputs_of(labelled, schema)
    return None if outputs is None else Answered(truth, outputs)


def outputs_of(frame: pl.DataFrame, schema: Schema) -> Outputs | None:
    """The answers as numbers; None if one of them is missing, not finite, or of other classes than the schema's."""
    prediction = frame["prediction"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    probability = _probability(frame, schema)
    if not all(np.isfinite(values).all() for values in (prediction, probability) if values is not None):
        log.warning("answers left out reason=predictions that are missing or not finite rows=%d", frame.height)
        return None
    return Outputs(prediction, probability)


def _nearest(name: str) -> str:
    """The known name most like this one, in whatever order its words stand."""

    def likeness(known: str) -> float:
        one, other = ("_".join(sorted(each.split("_"))) for each in (name, known))
        return max(difflib.SequenceMatcher(None, a, b).ratio() for a, b in ((name, known), (one, other)))

    return max(METRICS, key=likeness)


def _truth(labelled: pl.DataFrame, schema: Schema) -> Array | None:
    """Labels as 0 or 1, class index, or value; None if one of them cannot be."""
    if schema.target_kind == "multiclass":
        codes = {name: index for index, name in enumerate(schema.classes)}
        coded = labelled["label"].cast(pl.String).replace_strict(codes, default=None, return_dtype=pl.Int64)
        wrong = coded.null_count()
    else:
        coded = labelled["label"].cast(pl.Float64)
        allowed = coded.is_in([0.0, 1.0]) if schema.target_kind == "binary" else coded.is_finite()
        wrong = int((~allowed).sum())
    if wrong:
        log.warning("quality left out reason=%d of %d labels are none of the target's", wrong, labelled.height)
        return None
    return coded.to_numpy()


def _probability(frame: pl.DataFrame, schema: Schema) -> Array | None:
    """Of class 1, shape (rows,), or of each class, shape (rows, classes); NaN where missing; None if there is none."""
    if schema.target_kind == "binary":
        return frame["probability"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    if schema.target_kind == "multiclass" and "probabilities" in frame.columns:
        classes = len(schema.classes)
        whole = frame["probabilities"].list.len() == classes
        if not whole.fill_null(False).all():  # another version's classes
            return np.full((frame.height, classes), np.nan)
        values = frame["probabilities"].explode(empty_as_null=False).cast(pl.Float64).fill_null(np.nan)
        return values.to_numpy().reshape(frame.height, classes)
    return None


def _counts(truth: Array, probability: Array) -> tuple[Array, Array]:
    """Rows of class 1 and of class 0 at or above each threshold, from none to all; equal scores are one threshold."""
    order = np.argsort(-probability)
    last_of_tie = np.append(np.flatnonzero(np.diff(probability[order])), truth.size - 1)
    caught = np.cumsum(truth[order])[last_of_tie]
    return np.append(0, caught), np.append(0, last_of_tie + 1 - caught)


def _roc_auc(truth: Array, prediction: Array, probability: Array) -> float:
    caught, alarms = _counts(truth, probability)
    return float(np.trapezoid(caught, alarms) / (caught[-1] * alarms[-1]))


def _average_precision(truth: Array, prediction: Array, probability: Array) -> float:
    caught, alarms = _counts(truth, probability)
    return float((np.diff(caught) * (caught[1:] / (caught[1:] + alarms[1:]))).sum() / caught[-1])


def _log_loss(truth: Array, prediction: Array, probability: Array) -> float:
    if probability.ndim == 1:
        of_truth = np.where(truth == 1, probability, 1 - probability)
    else:
        of_truth = probability[np.arange(truth.size), truth.astype(np.int64)]
    return float(-np.log(np.clip(of_truth, SMALLEST_PROBABILITY, 1)).mean())


def _brier(truth: Array, prediction: Array, probability: Array) -> float:
    return float(np.square(probability - truth).mean())


def _calibration_error(truth: Array, prediction: Array, probability: Array) -> float:
    """Average gap between stated probability and observed share (Guo et al. 2017, arXiv:1706.04599)."""
    is_binary = probability.ndim == 1
    sure = probability if is_binary else probability.max(axis=1)
    right = truth if is_binary else probability.argmax(axis=1) == truth
    bins = np.minimum((sure * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=sure - right, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / truth.size)


def _macro_f1(truth: Array, prediction: Array, probability: Array) -> float:
    scores = []
    for label in np.union1d(truth, prediction):
        hits = ((truth == label) & (prediction == label)).sum()
        scores.append(2 * hits / ((truth == label).sum() + (prediction == label).sum()))
    return float(np.mean(scores))


def _r2(truth: Array, prediction: Array, probability: Array) -> float:
    return float(1 - np.square(truth - prediction).sum() / np.square(truth - truth.mean()).sum())


METRICS: dict[str, Metric] = {
    "roc_auc": Metric(_roc_auc, of_probability=True),
    "log_loss": Metric(_log_loss, lower_is_better=True, high=float("inf"), of_probability=True),
    "average_precision": Metric(_average_precision, of_probability=True),
    "brier": Metric(_brier, lower_is_better=True, of_probability=True),
    "calibration_error": Metric(_calibration_error, lower_is_better=True, of_probability=True),
    "accuracy": Metric(lambda t, y, p: float((t == y).mean())),
    "macro_f1": Metric(_macro_f1),
    "rmse": Metric(lambda t, y, p: float(np.sqrt(np.square(t - y).mean())), lower_is_better=True, high=float("inf")),
    "mae": Metric(lambda t, y, p: float(np.abs(t - y).mean()), lower_is_better=True, high=float("inf")),
    "r2": Metric(_r2, low=float("-inf")),
}

"""How sure one model's metrics are: percentile bootstrap intervals, hundreds of resamples at once.

A resample of the rows, with replacement, is how often it holds each row. So no row is copied: every metric stands here
a second time, as a function of such counts, with the sorting done once for all resamples. The metrics themselves are
those of `metrics`; the tests hold the two together. Comparing two models is the business of `intervals`.
"""

from collections.abc import Callable, Iterable

import numpy as np

from components.evaluation.intervals import SEED, UNDEFINED_SHARE
from components.evaluation.metrics import CALIBRATION_BINS, SMALLEST_PROBABILITY
from components.evaluation.predicting import Array

# Counts held at once, 8 bytes each: 3 MB stay in the processor's cache (25,000 rows: 0.5 s; 1.1 s with 32 MB).
CHUNK = 400_000
# Counts drawn in all, about 2 s for six metrics. More than 100,000 rows get fewer resamples than 500, and at least 100:
# their intervals are so narrow that the ends need no second digit.
MOST_COUNTS = 50_000_000
FEWEST_RESAMPLES = 100

# From counts of shape (resamples, rows) to values of shape (resamples,); NaN where the metric is not defined.
Weighted = Callable[[Array], Array]


def bootstrap_intervals(
    names: Iterable[str],
    truth: Array,
    prediction: Array,
    probability: Array | None,
    *,
    confidence: float,
    resamples: int,
    seed: int = SEED,
) -> dict[str, tuple[float, float]]:
    """Percentile interval of each metric of one model, all on the same resamples; takes rows as independent.

    Args:
        names: Metrics that exist for this kind of target.
        truth: True answers, shape (rows,); at least one row.
        prediction: Predicted answers, shape (rows,), finite.
        probability: Probabilities, shape (rows,) or (rows, classes), finite; None for a regression.
        confidence: Coverage of the interval, between 0 and 1.
        resamples: How many times the rows are drawn again, with replacement.
        seed: Seed of the draws.

    Returns:
        Metric name to the lower and upper end, in the metric's unit; left out if undefined on too many resamples.

    Source:
        Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
    """
    functions = {name: WEIGHTED[name](truth, prediction, probability) for name in names}
    rows = truth.shape[0]
    resamples = min(resamples, max(FEWEST_RESAMPLES, MOST_COUNTS // rows))
    found: dict[str, list[Array]] = {name: [] for name in functions}
    generator = np.random.default_rng(seed)
    step = max(1, CHUNK // rows)
    for start in range(0, resamples, step):
        counts = draw_counts(generator, min(step, resamples - start), rows)
        for name, function in functions.items():
            found[name].append(function(counts))
    ends = {name: _ends(np.concatenate(values), confidence) for name, values in found.items()}
    return {name: end for name, end in ends.items() if end is not None}


def draw_counts(generator: np.random.Generator, resamples: int, rows: int) -> Array:
    """How often each resample holds each row, float64 of shape (resamples, rows); each sums to `rows`."""
    drawn = [np.bincount(generator.integers(rows, size=rows, dtype=np.int32), minlength=rows) for _ in range(resamples)]
    return np.stack(drawn).astype(np.float64)


def _ends(values: Array, confidence: float) -> tuple[float, float] | None:
    defined = values[np.isfinite(values)]
    if defined.size < (1 - UNDEFINED_SHARE) * values.size:
        return None
    low, high = np.quantile(defined, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


def _mean_of(values: Array) -> Weighted:
    return lambda counts: np.asarray(counts @ values / counts.sum(axis=1))


def _accuracy(truth: Array, prediction: Array, probability: Array | None) -> Weighted:
    return _mean_of((truth == prediction).astype(np.float64))


def _brier(truth: Array, prediction: Array, probability: Array | None) -> Weighted:
    assert probability is not None
    return _mean_of(np.square(probability - truth))


def _log_loss(truth: Array, prediction: Array, probability: Array | None) -> Weighted:
    return _mean_of(surprises(truth, probability))


def surprises(truth: Array, probability: Array | None) -> Array:
    """The log loss of each row in nats, shape (rows,)."""
    assert probability is not None
    if probability.ndim == 1:
        of_truth = np.where(truth == 1, probability, 1 - probability)
    else:
        of_truth = probability[np.arange(truth.shape[0]), truth.astype(np.int64)]
    return np.asarray(-np.log(np.clip(of_truth, SMALLEST_PROBABILITY, 1)))


def _mae(truth: Array, prediction: Array, probability: Array | None) -> Weighted:
    return _mean_of(np.abs(truth - prediction))


def _rmse(truth: Array, prediction: Array, probability: Array | None) -> Weighted:
    mean_square = _mean_of(np.square(truth - prediction))
    return lambda counts: np.asarray(np.sqrt(mean_square(counts)))


def _r2(truth: Array, prediction: Array, probability: Array | None) -> Weighted:
    # Around their mean, the squares of large truths do not swallow their spread.
    around = truth - truth.mean()
    error, first, second = _mean_of(np.square(truth - prediction)), _mean_of(around), _mean_of(np.square(around))

    def values(counts: Array) -> Array:
        spread = second(counts) - np.square(first(counts))
        return np.where(spread > 0, 1 - error(counts) / np.where(spread > 0, spread, 1), np.nan)

    return values


def _calibration_error(truth: Array, prediction: Array, probability: Array | None) -> Weighted:
    assert probability is not None
    if probability.ndim == 1:
        sure, right = probability, truth
    else:
        sure, right = probability.max(axis=1), probability.argmax(axis=1) == truth
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    # A row's gap stands in the column of its bin, so a bin's sum is a product of matrices; 1.0 has a bin of its own.
    gaps = np.zeros((truth.shape[0], edges.size))
    gaps[np.arange(truth.shape[0]), np.searchsorted(edges, sure, side="right") - 1] = sure - right
    return lambda counts: np.asarray(np.abs(counts @ gaps).sum(axis=1) / counts.sum(axis=1))


def _roc_auc(truth: Array, prediction: Array, probability: Array | None) -> Weighted:
    caught_and_alarms = _by_threshold(truth, probability)

    def values(counts: Array) -> Array:
        caught, alarms = caught_and_alarms(counts)
        pairs = caught[:, -1] * alarms[:, -1]
        area = np.einsum("ij,ij->i", np.diff(alarms, axis=1, prepend=0), _middles(caught))
        return np.where(pairs > 0, area / np.where(pairs > 0, pairs, 1), np.nan)

    return values


def _average_precision(truth: Array, prediction: Array, probability: Array | None) -> Weighted:
    caught_and_alarms = _by_threshold(truth, probability)

    def values(counts: Array) -> Array:
        caught, alarms = caught_and_alarms(counts)
        precision = caught / np.maximum(caught + alarms, 1)
        steps = np.einsum("ij,ij->i", np.diff(caught, axis=1, prepend=0), precision)
        positives = caught[:, -1]
        return np.where(positives > 0, steps / np.where(positives > 0, positives, 1), np.nan)

    return values


def _middles(heights: Array) -> Array:
    """The mean of each height and the one before it, 0 before the first; shape as given."""
    means = heights.copy()
    means[:, 1:] += heights[:, :-1]
    means /= 2
    return means


def _by_threshold(truth: Array, probability: Array | None) -> Callable[[Array], tuple[Array, Array]]:
    """From counts to the rows of class 1 and of class 0 at or above each threshold, shape (resamples, thresholds)."""
    assert probability is not None
    order = np.argsort(-probability)
    last_of_tie = np.append(np.flatnonzero(np.diff(probability[order])), truth.size - 1)
    positive = (truth[order] == 1).astype(np.float64)

    def sums(counts: Array) -> tuple[Array, Array]:
        drawn = counts[:, order]
        caught = np.cumsum(drawn * positive, axis=1)[:, last_of_tie]
        return caught, np.cumsum(drawn, axis=1)[:, last_of_tie] - caught

    return sums


def _macro_f1(truth: Array, prediction: Array, probability: Array | None) -> Weighted:
    classes = np.arange(int(max(truth.max(), prediction.max())) + 1)
    is_true = (truth[:, None] == classes).astype(np.float64)
    is_told = (prediction[:, None] == classes).astype(np.float64)

    def values(counts: Array) -> Array:
        both = counts @ (is_true * is_told)
        seen = counts @ is_true + counts @ is_told
        scores = 2 * both / np.maximum(seen, 1)
        return np.asarray(scores.sum(axis=1) / (seen > 0).sum(axis=1))

    return values


WEIGHTED: dict[str, Callable[[Array, Array, Array | None], Weighted]] = {
    "roc_auc": _roc_auc,
    "log_loss": _log_loss,
    "average_precision": _average_precision,
    "brier": _brier,
    "calibration_error": _calibration_error,
    "accuracy": _accuracy,
    "macro_f1": _macro_f1,
    "rmse": _rmse,
    "mae": _mae,
    "r2": _r2,
}

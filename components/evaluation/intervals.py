"""How sure is it that one model is better than another on the same rows: intervals of the paired difference.

Both models answered the same rows, so most of what makes one sample of rows easier than another cancels out; that is
why a paired interval is several times narrower than the difference of two separate ones.

`roc_auc` has an exact large-sample variance (DeLong), which takes milliseconds; every other metric is bootstrapped.
Both take rows as independent. Rows of one day that share their weather are not quite, so the true interval is wider.

Everything here is a gain: positive means that the candidate is better, whatever the metric's direction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from components.evaluation.predicting import Array

# The same resamples in every contest: a verdict can be replayed to the last digit.
SEED = 20_140_101
# Resamples on which the metric is undefined (a rare class is absent) are left out, up to this share of them.
UNDEFINED_SHARE = 0.02

Measure = Callable[[Array, Array, Array | None], float]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """One model's answers: prediction of shape (rows,), and probability of shape (rows,), (rows, classes) or None."""

    prediction: Array
    probability: Array | None

    def at(self, rows: Array) -> "Answers":
        """The answers to some of the rows, in the order of `rows`."""
        return Answers(self.prediction[rows], None if self.probability is None else self.probability[rows])


def delong_interval(truth: Array, candidate: Array, champion: Array, *, confidence: float) -> tuple[float, float]:
    """Interval of the candidate's ROC AUC minus the champion's on the same rows; exact for many rows, ties included.

    Args:
        truth: True classes, shape (rows,), 0 or 1, both present at least twice.
        candidate: The candidate's scores, shape (rows,).
        champion: The champion's scores, shape (rows,).
        confidence: Coverage of the interval, between 0 and 1.

    Returns:
        Lower and upper end, each between -1 and 1 but for rounding of the normal approximation; NaN with fewer than
        two rows of a class.

    Source:
        DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44(3); by midranks as in Sun and Xu (2014), Fast
        Implementation of DeLong's Algorithm, IEEE Signal Processing Letters 21(11).
    """
    positive = truth == 1
    if min(positive.sum(), (~positive).sum()) < 2:
        return float("nan"), float("nan")
    of_positives = _wins(candidate, positive) - _wins(champion, positive)
    of_negatives = _wins(champion, ~positive) - _wins(candidate, ~positive)
    variance = of_positives.var(ddof=1) / of_positives.size + of_negatives.var(ddof=1) / of_negatives.size
    reach = NormalDist().inv_cdf(0.5 + confidence / 2) * float(np.sqrt(variance))
    difference = float(of_positives.mean())
    return difference - reach, difference + reach


def bootstrap_interval(
    measure: Measure,
    truth: Array,
    candidate: Answers,
    champion: Answers,
    *,
    lower_is_better: bool,
    confidence: float,
    resamples: int,
    seed: int = SEED,
) -> tuple[float, float]:
    """Percentile interval of the gain of any metric: both models are measured on the same resampled rows each time.

    Args:
        measure: `(truth, prediction, probability) -> float`, NaN where it is not defined.
        truth: True answers, shape (rows,).
        candidate: The candidate's answers.
        champion: The champion's answers.
        lower_is_better: The metric's direction.
        confidence: Coverage of the interval, between 0 and 1.
        resamples: How many times the rows are drawn again, with replacement.
        seed: Seed of the draws.

    Returns:
        Lower and upper end in the metric's unit, positive is better; NaN if the metric is undefined too often.

    Source:
        Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapters 8 and 13.
    """
    generator = np.random.default_rng(seed)
    gains = np.empty(resamples)
    for index in range(resamples):
        rows = generator.integers(truth.shape[0], size=truth.shape)
        difference = _measure_at(measure, truth, candidate, rows) - _measure_at(measure, truth, champion, rows)
        gains[index] = -difference if lower_is_better else difference
    defined = gains[np.isfinite(gains)]
    if defined.size < (1 - UNDEFINED_SHARE) * resamples:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


def _measure_at(measure: Measure, truth: Array, answers: Answers, rows: Array) -> float:
    drawn = answers.at(rows)
    return measure(truth[rows], drawn.prediction, drawn.probability)


def _wins(scores: Array, of: Array) -> Array:
    """For each chosen row, the share of the other rows that it is ranked above, ties counted half; shape (chosen,)."""
    chosen = scores[of]
    return (_midranks(scores)[of] - _midranks(chosen)) / (scores.size - chosen.size)


def _midranks(scores: Array) -> Array:
    """Ranks from 1, equal scores sharing the mean of their ranks; shape (rows,)."""
    _, position, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[position])

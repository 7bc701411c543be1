"""How sure is it that one model is better than another on the same rows: intervals of the paired difference.

Both models answered the same rows, so most of what makes one sample of rows easier than another cancels out; that is
why a paired interval is several times narrower than the difference of two separate ones.

`roc_auc` has an exact large-sample variance (DeLong), which takes milliseconds; for every other metric `comparing`
draws the rows again. Both take rows as independent. Rows of one day that share their weather are not quite, so the true
interval is wider.

Everything here is a gain: positive means that the candidate is better, whatever the metric's direction.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from components.evaluation.predicting import Array

# The same resamples in every contest: a verdict can be replayed to the last digit.
SEED = 20_140_101
# Resamples on which the metric is undefined (a rare class is absent) are left out, up to this share of them.
UNDEFINED_SHARE = 0.02
# With fewer rows of a class than this, the normal curve promises a narrower interval than there is.
FEWEST_OF_A_CLASS = 10
# Fewer draws than this beyond the end of an interval tell little of where the end is.
FEWEST_BEYOND = 10


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
        truth: True classes, shape (rows,), 0 or 1.
        candidate: The candidate's scores, shape (rows,).
        champion: The champion's scores, shape (rows,).
        confidence: Coverage of the interval, between 0 and 1.

    Returns:
        Lower and upper end, each between -1 and 1 but for rounding of the normal approximation; NaN with fewer than
        ten rows of a class.

    Source:
        DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44(3); by midranks as in Sun and Xu (2014), Fast
        Implementation of DeLong's Algorithm, IEEE Signal Processing Letters 21(11).
    """
    positive = truth == 1
    if min(positive.sum(), (~positive).sum()) < FEWEST_OF_A_CLASS:
        return float("nan"), float("nan")
    of_positives = _wins(candidate, positive) - _wins(champion, positive)
    of_negatives = _wins(champion, ~positive) - _wins(candidate, ~positive)
    variance = of_positives.var(ddof=1) / of_positives.size + of_negatives.var(ddof=1) / of_negatives.size
    return _normal(float(of_positives.mean()), float(np.sqrt(variance)), confidence)


def delong_interval_apart(
    candidate: tuple[Array, Array], champion: tuple[Array, Array], *, confidence: float
) -> tuple[float, float]:
    """The same of two models that answered rows of their own: their variances add up.

    Args:
        candidate: True classes of shape (rows,), 0 or 1, and the candidate's scores of those rows.
        champion: The same of the champion's rows.
        confidence: Coverage of the interval, between 0 and 1.

    Returns:
        Lower and upper end; NaN with fewer than ten rows of a class on either side.
    """
    middle, variance = 0.0, 0.0
    for sign, (truth, scores) in ((1, candidate), (-1, champion)):
        positive = truth == 1
        if min(positive.sum(), (~positive).sum()) < FEWEST_OF_A_CLASS:
            return float("nan"), float("nan")
        wins, losses = _wins(scores, positive), _wins(scores, ~positive)
        middle += sign * float(wins.mean())
        variance += float(wins.var(ddof=1) / wins.size + losses.var(ddof=1) / losses.size)
    return _normal(middle, float(np.sqrt(variance)), confidence)


def ends(values: Array, confidence: float) -> tuple[float, float]:
    """Lower and upper end of the interval that holds this share of the resampled values; NaN if too many are undefined.

    The ends are quantiles; where too few values lie beyond them to tell, they are those of a normal curve.
    """
    defined = values[np.isfinite(values)]
    if defined.size < (1 - UNDEFINED_SHARE) * values.size:
        return float("nan"), float("nan")
    if defined.size * (0.5 - confidence / 2) < FEWEST_BEYOND:
        return _normal(float(defined.mean()), float(defined.std(ddof=1)), confidence)
    low, high = np.quantile(defined, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


def _normal(middle: float, spread: float, confidence: float) -> tuple[float, float]:
    """The ends of the interval of a normal curve."""
    reach = NormalDist().inv_cdf(0.5 + confidence / 2) * spread
    return middle - reach, middle + reach


def _wins(scores: Array, of: Array) -> Array:
    """For each chosen row, the share of the other rows that it is ranked above, ties counted half; shape (chosen,)."""
    chosen = scores[of]
    return (_midranks(scores)[of] - _midranks(chosen)) / (scores.size - chosen.size)


def _midranks(scores: Array) -> Array:
    """Ranks from 1, equal scores sharing the mean of their ranks; shape (rows,)."""
    _, position, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[position])

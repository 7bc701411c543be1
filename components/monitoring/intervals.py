"""How sure a window's number is: the ends between which it would lie in 95 of 100 windows of the same traffic.

An area under the ROC curve has an exact large-sample spread (DeLong), also where a row is only to some chance of class
1; for every other metric a sample of the rows is drawn again and again, which takes under 0.1 s for any number of them.
Rows count as independent. Those of one day that share their weather are not quite, so the true interval is wider.
"""

from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from components.monitoring.quality import Answered, metric_named

Array = npt.NDArray[Any]

CONFIDENCE = 0.95
# The same draws each time a window is measured, so that its facts can be repeated.
SEED = 7
# 200 draws tell a spread to 5 %. Larger windows are drawn from this many of their rows, and the spread then shrinks
# with the root of how many more rows there are.
RESAMPLES = 200
SAMPLE_ROWS = 5_000
# Draws on which the metric is undefined (a rare class is absent) are left out, up to this share of them.
UNDEFINED_SHARE = 0.02
# With fewer rows of a class than this, the normal curve promises a narrower interval than there is.
FEWEST_OF_A_CLASS = 10

# Draws rows again: from a generator and row numbers to what was answered there, and what was (or would be) true.
Draw = Callable[[np.random.Generator, Array], Answered]


def interval(rows: Answered, name: str, value: float) -> tuple[float, float] | None:
    """Lower and upper end of the 95 % interval of a metric on labelled rows.

    Args:
        rows: Answers and what was true, at least one row.
        name: One of the metrics.
        value: The metric on these rows.

    Returns:
        Both ends, within what the metric can be; None where the rows do not tell: fewer than ten of a class for an area
        under the ROC curve, or a metric that is undefined on too many draws.
    """
    if name == "roc_auc" and rows.outputs.probability is not None:
        return ends(name, value, auc_spread(rows.truth, rows.outputs.probability))

    def draw(generator: np.random.Generator, drawn: Array) -> Answered:
        return Answered(rows.truth[drawn], rows.outputs.at(drawn))

    return ends(name, value, drawn_spread(name, draw, rows.truth.shape[0]))


def ends(name: str, value: float, spread: float | None) -> tuple[float, float] | None:
    """The interval of a normal curve around the value, cut where the metric ends; None without a spread."""
    if spread is None:
        return None
    metric = metric_named(name)
    reach = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) * spread
    return max(value - reach, metric.low), min(value + reach, metric.high)


def auc_spread(positive: Array, scores: Array) -> float | None:
    """Standard deviation of the area under the ROC curve over samples of as many rows; ties count half.

    Args:
        positive: Whether a row is of class 1: 0 or 1, or the chance that it is; shape (rows,).
        scores: What the rows are ranked by, shape (rows,).

    Returns:
        None with fewer than ten rows (or as many chances as add up to ten) of a class.

    Source:
        DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44(3). A row of chance p counts as p rows of class 1 and
        1 - p rows of class 0, which is what a sample of many such rows holds.
    """
    order = np.argsort(scores)
    ranked = scores[order]
    ties = np.flatnonzero(np.append(True, np.diff(ranked) > 0))
    ones, rows = np.add.reduceat(positive[order].astype(np.float64), ties), np.diff(np.append(ties, scores.size))
    zeros = rows - ones
    if min(ones.sum(), zeros.sum()) < FEWEST_OF_A_CLASS:
        return None
    # Of a row of class 1 the share of class 0 that it is above, and of a row of class 0 the share of class 1 below it.
    wins, losses = ((np.cumsum(other) - other / 2) / other.sum() for other in (zeros, ones))
    variance = sum(
        (of * np.square(share - (of * share).sum() / of.sum())).sum() / (of.sum() - 1) / of.sum()
        for of, share in ((ones, wins), (zeros, losses))
    )
    return float(np.sqrt(variance))


def drawn_spread(name: str, draw: Draw, rows: int) -> float | None:
    """Standard deviation of a metric over samples of as many rows, drawn again with replacement.

    Returns:
        None if the metric is undefined on more than 2 % of the draws.

    Source:
        Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 6; of m out of n rows as in Bickel, Götze
        and van Zwet (1997), Statistica Sinica 7.
    """
    generator = np.random.default_rng(SEED)
    sample = np.arange(rows)
    if rows > SAMPLE_ROWS:
        sample = generator.choice(rows, SAMPLE_ROWS, replace=False, shuffle=False)
    draws = (draw(generator, sample[generator.integers(sample.size, size=sample.size)]) for _ in range(RESAMPLES))
    values = [value for value in (drawn.value(name) for drawn in draws) if value is not None]
    if len(values) < (1 - UNDEFINED_SHARE) * RESAMPLES:
        return None
    return float(np.std(values, ddof=1) * np.sqrt(sample.size / rows))

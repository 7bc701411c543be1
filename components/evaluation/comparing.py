"""Two models on the same rows: both values, the gain and its interval, and how many rows would make it clear.

What follows from that is for the rules to say.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from components.errors import NotEnoughRows
from components.evaluation.intervals import SEED, Answers, delong_interval, delong_interval_apart, ends
from components.evaluation.metrics import Metric, measure
from components.evaluation.predicting import Array
from components.evaluation.resampling import CHUNK, FEWEST_RESAMPLES, MOST_COUNTS, WEIGHTED, draw_counts
from components.settings.evaluation import EvaluationSettings

# More rows than this many times those at hand are not worth waiting for: the two are as good as each other.
MOST_TIMES = 100


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two models are worth on the same rows; NaN for what could not be measured.

    Attributes:
        candidate: The candidate's value of the metric.
        other: The other one's.
        low: Lower end of the interval of the gain; positive is better, whatever the metric's direction.
        high: Upper end.
        confidence: Coverage of the interval, between 0 and 1.
        rows: Number of rows.
        lower_is_better: The metric's direction.
    """

    candidate: float
    other: float
    low: float
    high: float
    confidence: float
    rows: int
    lower_is_better: bool

    @property
    def gain(self) -> float:
        """By how much the candidate is better, whatever the metric's direction."""
        return self.other - self.candidate if self.lower_is_better else self.candidate - self.other

    @property
    def is_measured(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def __str__(self) -> str:
        """The gain and its interval, with as many decimals as the smallest of the three needs."""
        signed = _signed(self.gain, self.low, self.high)
        word = "gain" if self.lower_is_better else "difference"
        share = f"{self.confidence * 100:.4g} %"
        if not math.isfinite(self.gain):
            return f"no {word}, as one of the two has no value"
        if not self.is_measured:
            return f"{word} {signed(self.gain)}, with too few rows of a class for a {share} interval"
        return f"{word} {signed(self.gain)} ({share} interval {signed(self.low)} to {signed(self.high)})"

    def rows_to_clear(self, threshold: float) -> int | None:
        """How many more rows would bring the whole interval to one side of the threshold, if the gain stays as it is.

        An interval of a mean shrinks with the square root of its rows. So this is the number at which the threshold is
        cleared as often as not; None if it would take more than 100 times the rows at hand.
        """
        distance = abs(self.gain - threshold)
        reach = self.gain - self.low if self.gain > threshold else self.high - self.gain
        if not self.is_measured or not distance or (reach / distance) ** 2 > MOST_TIMES:
            return None
        return max(1, math.ceil(self.rows * (reach / distance) ** 2) - self.rows)


def compare(
    metric: Metric,
    truth: Array,
    candidate: Answers,
    other: Answers,
    settings: EvaluationSettings,
    *,
    confidence: float | None = None,
) -> Comparison:
    """Both models measured on the same rows, with the interval of the gain.

    Args:
        metric: What is measured.
        truth: True answers, shape (rows,).
        candidate: The candidate's answers.
        other: The other model's answers.
        settings: The confidence and the number of resamples.
        confidence: Another coverage of the interval than that of the settings, between 0 and 1.
    """
    coverage = settings.confidence if confidence is None else confidence
    values = measured(metric, truth, candidate), measured(metric, truth, other)
    low = high = math.nan
    if all(map(math.isfinite, values)):
        low, high = _interval(metric, truth, candidate, other, coverage, settings.bootstrap)
    return Comparison(*values, low, high, coverage, int(truth.shape[0]), metric.lower_is_better)


def compare_apart(
    metric: Metric,
    candidate: tuple[Array, Answers],
    other: tuple[Array, Answers],
    settings: EvaluationSettings,
    *,
    confidence: float,
) -> Comparison:
    """Both models measured on rows of their own, with the interval of the gain: wider than that on the same rows.

    Args:
        metric: What is measured.
        candidate: True answers of shape (rows,) and the candidate's answers to them.
        other: The same of the other model's rows.
        settings: The number of resamples.
        confidence: Coverage of the interval, between 0 and 1.

    Returns:
        The comparison, with the candidate's number of rows.
    """
    values = measured(metric, *candidate), measured(metric, *other)
    low = high = math.nan
    if all(map(math.isfinite, values)):
        low, high = _interval_apart(metric, candidate, other, confidence, settings.bootstrap)
    return Comparison(*values, low, high, confidence, int(candidate[0].shape[0]), metric.lower_is_better)


def bootstrap_values(metric: Metric, truth: Array, answers: Answers, *, resamples: int, seed: int) -> Array:
    """One model's metric on rows drawn again with replacement, shape (resamples,); NaN where undefined.

    With more than 100,000 rows there are fewer resamples, and at least 100.
    """
    side = WEIGHTED[metric.name](truth, answers.prediction, answers.probability)
    rows = truth.shape[0]
    resamples = min(resamples, max(FEWEST_RESAMPLES, MOST_COUNTS // rows))
    generator = np.random.default_rng(seed)
    step = max(1, CHUNK // rows)
    return np.concatenate(
        [side(draw_counts(generator, min(step, resamples - start), rows)) for start in range(0, resamples, step)]
    )


def measured(metric: Metric, truth: Array, answers: Answers) -> float:
    """The metric's value; NaN where it is not defined."""
    try:
        return measure(metric.name, truth, answers.prediction, answers.probability)
    except NotEnoughRows:
        return math.nan


def bootstrap_gains(metric: Metric, truth: Array, candidate: Answers, other: Answers, *, resamples: int) -> Array:
    """The gain on rows drawn again with replacement, the same ones for both, shape (resamples,); NaN where undefined.

    12,000 rows and 500 resamples take 0.3 s; with more than 100,000 rows there are fewer resamples, and at least 100.

    Source:
        Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapters 8 and 13.
    """
    sides = [WEIGHTED[metric.name](truth, one.prediction, one.probability) for one in (candidate, other)]
    rows = truth.shape[0]
    resamples = min(resamples, max(FEWEST_RESAMPLES, MOST_COUNTS // rows))
    generator = np.random.default_rng(SEED)
    step = max(1, CHUNK // rows)
    gains = []
    for start in range(0, resamples, step):
        counts = draw_counts(generator, min(step, resamples - start), rows)
        first, second = (side(counts) for side in sides)
        gains.append(second - first if metric.lower_is_better else first - second)
    return np.concatenate(gains)


def _interval(
    metric: Metric, truth: Array, candidate: Answers, other: Answers, confidence: float, resamples: int
) -> tuple[float, float]:
    if metric.name == "roc_auc":
        assert candidate.probability is not None
        assert other.probability is not None
        return delong_interval(truth, candidate.probability, other.probability, confidence=confidence)
    return ends(bootstrap_gains(metric, truth, candidate, other, resamples=resamples), confidence)


def _interval_apart(
    metric: Metric,
    candidate: tuple[Array, Answers],
    other: tuple[Array, Answers],
    confidence: float,
    resamples: int,
) -> tuple[float, float]:
    if metric.name == "roc_auc":
        sides = []
        for truth, answers in (candidate, other):
            assert answers.probability is not None
            sides.append((truth, answers.probability))
        return delong_interval_apart(sides[0], sides[1], confidence=confidence)
    first, second = (
        bootstrap_values(metric, *side, resamples=resamples, seed=SEED + number)
        for number, side in enumerate((candidate, other))
    )
    shared = min(first.size, second.size)  # the side with more rows may have fewer resamples
    gains = second[:shared] - first[:shared] if metric.lower_is_better else first[:shared] - second[:shared]
    return ends(gains, confidence)


def _signed(*values: float) -> Callable[[float], str]:
    sizes = [abs(value) for value in values if math.isfinite(value) and value != 0]
    decimals = min(max(3, -math.floor(math.log10(min(sizes)))), 6) if sizes else 3
    return lambda value: f"{value:+.{decimals}f}"

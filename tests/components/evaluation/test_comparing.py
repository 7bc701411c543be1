"""Two models on the same rows: the gain, its direction, and how many rows would make it clear."""

import math

import numpy as np
import pytest

from components.evaluation.comparing import Comparison, bootstrap_gains, compare
from components.evaluation.intervals import Answers
from components.evaluation.metrics import METRICS
from components.settings.evaluation import EvaluationSettings
from tests.components.evaluation.sides import contestants

SETTINGS = EvaluationSettings(bootstrap=200)


def comparison(gain: float, reach: float, *, rows: int = 1_000, **changes: object) -> Comparison:
    """A gain with an interval that reaches so far to both sides."""
    facts = {"candidate": 0.7 + gain, "other": 0.7, "low": gain - reach, "high": gain + reach, "confidence": 0.95}
    return Comparison(**{**facts, "rows": rows, "lower_is_better": False, **changes})


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if "binary" in metric.kinds])
def test_a_gain_is_positive_for_the_better_model_in_every_direction(name):
    """Less noise gains in every binary metric but calibration, where noise of 2 is what misleads."""
    candidate, champion, rows = contestants(3, candidate_noise=0.1, champion_noise=2.0)
    sides = candidate.recent.answers, champion.recent.answers

    found = compare(METRICS[name], rows.recent.truth, *sides, SETTINGS)
    back = compare(METRICS[name], rows.recent.truth, sides[1], sides[0], SETTINGS)

    assert 0 < found.low < found.gain < found.high
    assert (found.candidate < found.other) == METRICS[name].lower_is_better
    assert back.gain == -found.gain


def test_a_bootstrap_can_be_replayed():
    """The draws are the same each time, and the same for both sides: a model never differs from itself."""
    candidate, champion, rows = contestants(4)
    arguments = METRICS["log_loss"], rows.recent.truth, candidate.recent.answers

    once, again = (bootstrap_gains(*arguments, champion.recent.answers, resamples=100) for _ in range(2))

    assert np.array_equal(once, again)
    assert not bootstrap_gains(*arguments, candidate.recent.answers, resamples=100).any()


def test_a_side_without_a_value_has_no_gain():
    """One class only: there is no area, no gain and no interval, and the sentence says so."""
    random = np.random.default_rng(1)
    probability = random.random(100)
    side = Answers(probability > 0.5, probability)

    found = compare(METRICS["roc_auc"], np.zeros(100), side, side, SETTINGS)

    assert not found.is_measured
    assert str(found) == "no difference, as one of the two has no value"


def test_the_sentence_has_as_many_decimals_as_the_smallest_number_needs():
    """A gain of 0.0004 is not told as 0.000."""
    assert str(comparison(0.0204, 0.01)) == "difference +0.020 (95 % interval +0.010 to +0.030)"
    assert "difference +0.0004 (" in str(comparison(0.0004, 0.01))
    assert str(comparison(0.02, 0.01, lower_is_better=True)).startswith("gain -0.020")
    assert str(comparison(0.02, math.nan)) == "difference +0.020, with too few rows of a class for a 95 % interval"


@pytest.mark.parametrize(
    ("gain", "threshold", "more"),
    [
        # The interval reaches 0.02: at four times the rows 0.01.
        (0.01, 0.0, 3_000),
        (-0.01, 0.0, 3_000),
        # 0.01 above minus the margin, though below 0.
        (-0.005, -0.015, 3_000),
        (0.002, 0.0, 99_000),
    ],
)
def test_rows_to_clear_follow_the_square_root(gain, threshold, more):
    """An interval half as wide takes four times the rows."""
    # One row more or less: 0.02 / 0.01 is not exact in binary.
    assert comparison(gain, 0.02).rows_to_clear(threshold) == pytest.approx(more, abs=1)


def test_models_too_close_to_call_would_never_be_settled():
    """More than 100 times the rows, or no gain at all: no number is told."""
    assert comparison(0.0019, 0.02).rows_to_clear(0.0) is None
    assert comparison(0.0, 0.02).rows_to_clear(0.0) is None
    assert comparison(0.0, 0.0).rows_to_clear(0.0) is None
    assert comparison(0.01, math.nan).rows_to_clear(0.0) is None


def test_the_end_that_faces_the_threshold_counts():
    """A lopsided interval is judged by the side that is in the way."""
    lopsided = comparison(0.01, 0.02, high=0.5)

    assert lopsided.rows_to_clear(0.0) == pytest.approx(3_000, abs=1)
    assert lopsided.rows_to_clear(0.02) is None

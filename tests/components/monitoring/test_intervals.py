"""A window's interval is as wide as the one that scoring draws for the same rows, and holds what it promises."""

import numpy as np
import pytest

from components.evaluation.intervals import delong_interval
from components.evaluation.resampling import WEIGHTED, bootstrap_intervals
from components.monitoring.intervals import auc_spread, ends, interval
from components.monitoring.quality import METRICS, Answered, Outputs

NAMES = [name for name in METRICS if name in WEIGHTED and name != "calibration_error"]


def rows(count: int, *, seed: int = 1) -> Answered:
    """Rows of two classes, one in four of class 1, whose probabilities are calibrated and tell a good deal."""
    rng = np.random.default_rng(seed)
    chance = np.round(rng.beta(1, 3, count), 3)
    return Answered((rng.random(count) < chance).astype(float), Outputs((chance > 0.5).astype(float), chance))


def classes(count: int) -> Answered:
    """Rows of three classes, one of them rare."""
    rng = np.random.default_rng(2)
    chances = rng.dirichlet((2, 1, 0.3), count)
    truth = (rng.random(count)[:, None] >= chances.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return Answered(truth, Outputs(chances.argmax(axis=1).astype(float), chances))


def measured(answered: Answered, name: str) -> tuple[float, float]:
    """The interval of the metric on these rows."""
    value = answered.value(name)
    assert value is not None
    found = interval(answered, name, value)
    assert found is not None
    return found


@pytest.mark.parametrize("count", [600, 12_000])
@pytest.mark.parametrize("name", NAMES)
def test_an_interval_is_that_of_scoring(name: str, count: int):
    """Also above 5,000 rows, of which only a sample is drawn again: within a fifth of its width."""
    answered = rows(count)
    outputs = answered.outputs

    low, high = measured(answered, name)

    theirs = bootstrap_intervals(
        (name,), answered.truth, outputs.prediction, outputs.probability, confidence=0.95, resamples=500
    )[name]
    # 200 draws on this side and 500 on the other tell a width to about 5 and 3 %.
    assert (low, high) == pytest.approx(theirs, abs=0.2 * (theirs[1] - theirs[0]))


@pytest.mark.parametrize("name", ["accuracy", "log_loss", "macro_f1"])
def test_several_classes_have_the_intervals_of_scoring(name: str):
    """Their probabilities are of shape (rows, classes)."""
    answered = classes(3_000)
    outputs = answered.outputs

    low, high = measured(answered, name)

    theirs = bootstrap_intervals(
        (name,), answered.truth, outputs.prediction, outputs.probability, confidence=0.95, resamples=500
    )[name]
    assert (low, high) == pytest.approx(theirs, abs=0.2 * (theirs[1] - theirs[0]))


def test_an_area_has_delongs_spread_to_the_last_digit():
    """Against a champion that ranks nothing, whose area is one half without any spread; ties among the scores."""
    answered = rows(2_000)
    scores = answered.outputs.probability
    assert scores is not None

    low, high = measured(answered, "roc_auc")

    theirs = delong_interval(answered.truth, scores, np.zeros_like(scores), confidence=0.95)
    assert (low - 0.5, high - 0.5) == pytest.approx(theirs, abs=1e-12)


def test_nineteen_of_twenty_intervals_hold_the_true_area():
    """Windows of 500 rows of the same traffic."""
    windows = [rows(500, seed=seed) for seed in range(300)]
    truth = rows(400_000, seed=999).value("roc_auc")
    assert truth is not None

    found = [measured(window, "roc_auc") for window in windows]

    # 285 are expected of 300, with a spread of 3.8.
    assert 273 <= sum(low <= truth <= high for low, high in found) <= 297


def test_a_window_measured_twice_says_the_same():
    """The draws are the same ones."""
    assert measured(rows(6_000), "log_loss") == measured(rows(6_000), "log_loss")


def test_four_times_the_rows_halve_the_interval():
    """Although no more rows are drawn."""
    widths = [high - low for low, high in (measured(rows(count), "log_loss") for count in (100_000, 400_000))]

    assert widths[0] / widths[1] == pytest.approx(2, rel=0.15)


def test_an_interval_ends_where_the_metric_does():
    """No area under a curve is above 1, and no log loss below 0."""
    assert ends("roc_auc", 0.99, 0.1) == pytest.approx((0.99 - 0.196, 1.0), abs=1e-4)
    assert ends("log_loss", 0.01, 0.1) == pytest.approx((0.0, 0.01 + 0.196), abs=1e-4)


def test_too_few_of_a_class_leave_the_interval_open():
    """Nine rows of class 1 promise more than they hold; three are in every twentieth draw absent."""
    truth = np.zeros(600)
    truth[:9] = 1
    chance = np.random.default_rng(3).random(600)
    few = Answered(truth, Outputs(truth, chance))
    fewer = Answered(np.where(np.arange(600) < 3, 1.0, 0.0), Outputs(truth, chance))

    assert auc_spread(truth, chance) is None
    assert interval(few, "roc_auc", 0.5) is None
    assert interval(fewer, "average_precision", 0.5) is None

"""Bootstrap intervals by counts: the same numbers as the metrics on copied rows, only sooner."""

import numpy as np
import pytest

from components.evaluation.metrics import METRICS
from components.evaluation.resampling import WEIGHTED, bootstrap_intervals, draw_counts

ROWS = 400


def answers(kind, rows=ROWS, seed=3):
    """Truth, prediction and probability; probabilities are rounded, so that many are tied, 0 and 1 among them."""
    random = np.random.default_rng(seed)
    if kind == "regression":
        truth = random.gamma(3, 30, rows) + 1e6
        return truth, truth + random.normal(3, 20, rows), None
    if kind == "binary":
        truth = (random.random(rows) < 0.2).astype(np.int64)
        probability = np.round(np.clip(random.normal(0.3 + 0.2 * truth, 0.25), 0, 1), 2)
        return truth, (probability >= 0.5).astype(np.int64), probability
    probability = random.dirichlet(np.ones(4) * 0.6, rows)
    truth = np.where(random.random(rows) < 0.5, probability.argmax(axis=1), random.integers(0, 4, rows))
    return truth, probability.argmax(axis=1), probability


EVERY = [(name, kind) for name, metric in METRICS.items() for kind in metric.kinds]


@pytest.mark.parametrize(("name", "kind"), EVERY, ids=[f"{name}-{kind}" for name, kind in EVERY])
def test_each_metric_by_counts_is_the_metric_on_the_copied_rows(name, kind):
    """On 20 resamples, the value from counts is the value of the metric's own function on the rows drawn."""
    truth, prediction, probability = answers(kind)
    counts = draw_counts(np.random.default_rng(1), 20, ROWS)
    copied = [np.repeat(np.arange(ROWS), drawn.astype(int)) for drawn in counts]
    wanted = [
        METRICS[name].function(truth[at], prediction[at], None if probability is None else probability[at])
        for at in copied
    ]

    found = WEIGHTED[name](truth, prediction, probability)(counts)

    # 2e-6: torchmetrics sums areas and bins in float32.
    assert found == pytest.approx(wanted, rel=2e-6, abs=2e-6)
    assert len(set(wanted)) > 1


def test_a_resample_draws_as_many_rows_as_there_are():
    """Counts are whole, sum to the rows, and leave out about 37 % of them (1/e)."""
    counts = draw_counts(np.random.default_rng(0), 50, 1_000)

    assert (counts.sum(axis=1) == 1_000).all()
    # 0.0098 is the standard deviation of one resample's share (occupancy problem), so of the mean of 50: 0.0014.
    assert (counts == 0).mean() == pytest.approx(np.exp(-1), abs=0.01)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_an_interval_holds_the_value_and_is_seeded(kind):
    """Every metric of the kind has one, on the same resamples each time."""
    truth, prediction, probability = answers(kind, rows=2_000)
    names = [name for name, metric in METRICS.items() if kind in metric.kinds and name != "calibration_error"]

    found = bootstrap_intervals(names, truth, prediction, probability, confidence=0.95, resamples=300)
    again = bootstrap_intervals(names, truth, prediction, probability, confidence=0.95, resamples=300)

    assert found == again
    for name in names:
        low, high = found[name]
        assert low < METRICS[name].function(truth, prediction, probability) < high


def test_a_95_percent_interval_covers_what_is_true_as_often_as_it_says():
    """Of 200 samples of 400 rows, about 190 intervals of the accuracy hold the true accuracy of 0.7."""
    covered = 0

    for seed in range(200):
        right = np.random.default_rng(seed).random(ROWS) < 0.7
        truth, prediction = np.ones(ROWS, int), right.astype(int)
        low, high = bootstrap_intervals(
            ["accuracy"], truth, prediction, None, confidence=0.95, resamples=200, seed=seed
        )["accuracy"]
        covered += low <= 0.7 <= high

    # Of Binomial(200, 0.95) 99.9 % lies from 178 to 198.
    assert 178 <= covered <= 199


def test_more_confidence_is_a_wider_interval_around_the_same_middle():
    """99 % holds 90 %."""
    truth, prediction, probability = answers("binary")
    narrow = bootstrap_intervals(["roc_auc"], truth, prediction, probability, confidence=0.9, resamples=400)
    wide = bootstrap_intervals(["roc_auc"], truth, prediction, probability, confidence=0.99, resamples=400)

    assert wide["roc_auc"][0] < narrow["roc_auc"][0] < narrow["roc_auc"][1] < wide["roc_auc"][1]


def test_a_metric_that_most_resamples_do_not_define_has_no_interval():
    """With one row of class 1 a third of the resamples hold none; the accuracy does not mind."""
    truth = np.zeros(100, int)
    truth[0] = 1
    probability = np.linspace(0, 1, 100)

    found = bootstrap_intervals(
        ["roc_auc", "average_precision", "accuracy"], truth, truth, probability, confidence=0.95, resamples=200
    )

    assert set(found) == {"accuracy"}

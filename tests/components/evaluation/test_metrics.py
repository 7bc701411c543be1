"""The metrics against scikit-learn and values worked out by hand."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from components.errors import NotEnoughRows, ProjectFileError
from components.evaluation.metrics import METRICS, measure, measure_all, metric_named


@pytest.fixture(scope="module")
def binary():
    """Truth, prediction and probability of 3,000 rows with many tied probabilities."""
    random = np.random.default_rng(5)
    truth = random.integers(0, 2, 3_000)
    probability = np.round(np.clip(0.3 * truth + random.random(3_000) * 0.7, 0, 1), 2)
    return truth, (probability >= 0.5).astype(np.int64), probability


@pytest.fixture(scope="module")
def multiclass():
    """Truth, prediction and probabilities of 2,000 rows in four classes."""
    random = np.random.default_rng(6)
    probability = random.dirichlet(np.ones(4) * 0.5, 2_000)
    truth = np.where(random.random(2_000) < 0.5, probability.argmax(axis=1), random.integers(0, 4, 2_000))
    return truth, probability.argmax(axis=1), probability


@pytest.fixture(scope="module")
def regression():
    """Truth and prediction of 500 rows."""
    random = np.random.default_rng(7)
    truth = random.gamma(3, 30, 500)
    return truth, truth + random.normal(3, 10, 500), None


def test_binary_metrics_agree_with_scikit_learn(binary):
    """Every binary metric that scikit-learn has gives the same value, tied probabilities included."""
    truth, prediction, probability = binary

    found = measure_all("binary", *binary)

    # 1e-6: torchmetrics sums the area in float32.
    assert found["roc_auc"] == pytest.approx(sklearn_metrics.roc_auc_score(truth, probability), abs=1e-6)
    assert found["average_precision"] == pytest.approx(sklearn_metrics.average_precision_score(truth, probability))
    assert found["brier"] == pytest.approx(sklearn_metrics.brier_score_loss(truth, probability))
    assert found["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(truth, prediction))
    clipped = np.clip(probability, 1e-7, 1 - 1e-7)
    assert found["log_loss"] == pytest.approx(sklearn_metrics.log_loss(truth, clipped))


def test_multiclass_metrics_agree_with_scikit_learn(multiclass):
    """Every multiclass metric that scikit-learn has gives the same value."""
    truth, prediction, probability = multiclass

    found = measure_all("multiclass", *multiclass)

    assert set(found) == {"log_loss", "calibration_error", "accuracy", "macro_f1"}
    assert found["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(truth, prediction))
    assert found["macro_f1"] == pytest.approx(sklearn_metrics.f1_score(truth, prediction, average="macro"), abs=1e-6)
    assert found["log_loss"] == pytest.approx(sklearn_metrics.log_loss(truth, np.clip(probability, 1e-7, 1)), rel=1e-5)


def test_regression_metrics_agree_with_scikit_learn(regression):
    """Every regression metric gives scikit-learn's value."""
    truth, prediction, _ = regression

    found = measure_all("regression", *regression)

    assert found["rmse"] == pytest.approx(sklearn_metrics.root_mean_squared_error(truth, prediction))
    assert found["mae"] == pytest.approx(sklearn_metrics.mean_absolute_error(truth, prediction))
    assert found["r2"] == pytest.approx(sklearn_metrics.r2_score(truth, prediction))


def test_a_tie_counts_half_in_roc_auc():
    """Of four pairs one is ranked right and the rest are tied: 0.25 + 0.75 / 2."""
    truth = np.array([0, 0, 1, 1])
    probability = np.array([0.2, 0.5, 0.5, 0.2])

    tied = measure("roc_auc", truth, probability >= 0.5, np.array([0.5, 0.5, 0.5, 0.5]))
    mixed = measure("roc_auc", truth, probability >= 0.5, probability)

    assert tied == pytest.approx(0.5)
    assert mixed == pytest.approx((0 + 0.5 + 0.5 + 1) / 4)


def test_calibration_error_is_the_gap_between_stated_and_true():
    """Of ten rows stated at 0.8 six are true: the error is 0.2."""
    truth = np.array([1] * 6 + [0] * 4)
    probability = np.full(10, 0.8)

    error = measure("calibration_error", truth, probability >= 0.5, probability)

    assert error == pytest.approx(0.2, abs=1e-6)


def test_a_certain_and_wrong_answer_costs_a_finite_log_loss():
    """A probability of exactly 0 counts as 1e-7, which is 16.1 nats, not infinity."""
    truth = np.array([1, 0])

    loss = measure("log_loss", truth, np.array([0, 0]), np.array([0.0, 0.0]))

    assert loss == pytest.approx(16.118 / 2, abs=1e-3)


@pytest.mark.parametrize("name", ["roc_auc", "log_loss", "brier"])
def test_a_nan_probability_is_refused(name, binary):
    """A NaN in one probability never becomes a score."""
    truth, prediction, probability = binary
    broken = np.where(np.arange(truth.size) == 17, np.nan, probability)

    with pytest.raises(NotEnoughRows, match=rf"{name} wants finite predictions.*3,000 rows.* and 1 broken prediction"):
        measure(name, truth, prediction, broken)


def test_one_class_only_is_refused_and_left_out_of_a_scorecard():
    """With one true class there is no ROC AUC, while the Brier score is still there."""
    truth, probability = np.zeros(50), np.linspace(0, 1, 50)

    with pytest.raises(NotEnoughRows, match=r"50 rows, 1 distinct true value\(s\) \(0\)"):
        measure("roc_auc", truth, probability >= 0.5, probability)

    assert {"roc_auc", "average_precision"}.isdisjoint(measure_all("binary", truth, probability >= 0.5, probability))
    assert "brier" in measure_all("binary", truth, probability >= 0.5, probability)


def test_no_rows_are_refused():
    """A metric of nothing is refused, not NaN."""
    nothing = np.array([])

    with pytest.raises(NotEnoughRows, match=r"mae wants .* 0 rows"):
        measure("mae", nothing, nothing, None)


def test_an_unknown_metric_names_those_there_are():
    """A misspelt or unfitting metric is answered with the list of those that fit."""
    with pytest.raises(ProjectFileError, match=r"must be one of rmse, mae, r2 .*regression.* it is 'roc_auc'"):
        metric_named("roc_auc", "regression")


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_values_stay_in_the_range_that_is_stated(metric, binary, multiclass, regression):
    """Each metric states its range, and says in its docstring what it is and which direction is better."""
    rows = {"binary": binary, "multiclass": multiclass, "regression": regression}[metric.kinds[-1]]

    value = measure(metric.name, *rows)

    assert metric.low <= value <= metric.high
    assert ("lower" if metric.lower_is_better else "higher") + " is better" in metric.function.__doc__


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_better_predictions_score_better(metric, binary, multiclass, regression):
    """The direction that is stated is the true one: moving answers towards the truth improves every metric."""
    kind = metric.kinds[-1]
    truth, prediction, probability = {"binary": binary, "multiclass": multiclass, "regression": regression}[kind]
    sure = {"binary": truth, "multiclass": np.eye(4)[truth.astype(int) % 4], "regression": None}[kind]

    before = measure(metric.name, truth, prediction, probability)
    after = measure(metric.name, truth, truth, None if sure is None else sure.astype(float))

    assert (after < before) == metric.lower_is_better

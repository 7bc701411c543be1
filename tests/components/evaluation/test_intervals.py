"""Intervals of a gain: exact, drawn, and what they say where there is too little to tell."""

import numpy as np
import pytest

from components.evaluation.comparing import bootstrap_gains
from components.evaluation.intervals import Answers, delong_interval, ends
from components.evaluation.metrics import METRICS, roc_auc
from tests.components.evaluation.sides import contestants


@pytest.mark.parametrize("decimals", [12, 2, 1])
def test_delong_agrees_with_the_bootstrap(decimals):
    """Two independent ways to the interval give the same one, with few ties and with many."""
    candidate, champion, rows = contestants(12, candidate_noise=0.6)
    truth = rows.recent.truth
    one, two = (np.round(side.recent.answers.probability, decimals) for side in (candidate, champion))

    exact = delong_interval(truth, one, two, confidence=0.95)
    drawn = bootstrap_gains(
        METRICS["roc_auc"], truth, Answers(one > 0.5, one), Answers(two > 0.5, two), resamples=1_000
    )

    # 0.003: three standard errors of the ends of a bootstrap of 1,000 on an interval that is 0.03 wide.
    assert exact == pytest.approx(ends(drawn, 0.95), abs=0.003)
    assert sum(exact) / 2 == pytest.approx(roc_auc(truth, one, one) - roc_auc(truth, two, two), abs=1e-6)


def test_few_rows_of_a_class_have_no_interval():
    """Nine positives among 1,000 rows say nothing that a normal curve could hold."""
    random = np.random.default_rng(1)
    truth = np.arange(1_000) < 9

    assert np.isnan(delong_interval(truth, random.random(1_000), random.random(1_000), confidence=0.95)).all()
    assert np.isfinite(
        delong_interval(np.arange(1_000) < 10, random.random(1_000), random.random(1_000), confidence=0.95)
    ).all()


def test_ends_are_quantiles_and_further_out_those_of_a_normal_curve():
    """Of 500 values 12 lie beyond the ends of 95 %, but none beyond those of 99.9 %."""
    values = np.random.default_rng(2).normal(3, 2, 500)

    assert ends(values, 0.95) == pytest.approx(np.quantile(values, [0.025, 0.975]))
    # 3.2905: the normal curve's 99.95 % point.
    reach = 3.2905 * values.std(ddof=1)
    assert ends(values, 0.999) == pytest.approx((values.mean() - reach, values.mean() + reach), rel=1e-4)


def test_a_metric_undefined_on_many_resamples_has_no_interval():
    """Two in a hundred may be left out, not three."""
    values = np.linspace(0, 1, 500)

    assert np.isfinite(ends(np.where(np.arange(500) < 10, np.nan, values), 0.95)).all()
    assert np.isnan(ends(np.where(np.arange(500) < 11, np.nan, values), 0.95)).all()

"""The gate: what it lets through, and what it never does."""

from dataclasses import replace

import numpy as np
import pytest

from components.errors import ProjectFileError
from components.evaluation.intervals import Answers, bootstrap_interval, delong_interval
from components.evaluation.judging import Scored, judge
from components.evaluation.metrics import METRICS, roc_auc
from components.settings.evaluation import EvaluationSettings

SETTINGS = EvaluationSettings(metric="roc_auc", min_rows=500, bootstrap=200)


def contestants(seed, *, rows=3_000, candidate_noise=1.0, champion_noise=1.0, sha="a" * 64):
    """Two models that see the same signal through noise of their own; less noise is a better model."""
    random = np.random.default_rng(seed)
    signal = random.normal(-1, 1, rows)
    truth = (random.random(rows) < 1 / (1 + np.exp(-signal))).astype(np.int64)

    def scored(noise):
        probability = 1 / (1 + np.exp(-(signal + random.normal(0, noise, rows))))
        return Scored(truth, (probability >= 0.5).astype(np.int64), probability, sha)

    return scored(candidate_noise), scored(champion_noise)


def test_a_model_never_beats_itself():
    """A tie is not a win: identical answers settle nothing, for every binary metric."""
    model, _ = contestants(1)

    verdicts = [
        judge(model, model, SETTINGS.model_copy(update={"metric": name}))
        for name, metric in METRICS.items()
        if "binary" in metric.kinds
    ]

    assert {verdict.outcome for verdict in verdicts} == {"inconclusive"}
    assert verdicts[0].difference_low == verdicts[0].difference_high == 0


@pytest.mark.parametrize("seed", range(10))
def test_a_clearly_better_model_is_promoted(seed):
    """Half the noise on 3,000 rows wins every time, and the sentence holds the numbers."""
    candidate, champion = contestants(seed, candidate_noise=0.4, champion_noise=1.2)

    verdict = judge(candidate, champion, SETTINGS)

    assert verdict.promote
    assert verdict.difference_low > 0
    assert verdict.reason.startswith(
        f"candidate roc_auc {verdict.candidate:.3f} against champion {verdict.champion:.3f}"
    )
    assert "on the same 3,000 rows: difference +0.0" in verdict.reason
    assert verdict.reason.endswith("; promoted")


@pytest.mark.parametrize("seed", range(10))
def test_a_clearly_worse_model_is_rejected(seed):
    """The same contest the other way round is rejected, with the whole interval below 0."""
    candidate, champion = contestants(seed, candidate_noise=1.2, champion_noise=0.4)

    verdict = judge(candidate, champion, SETTINGS)

    assert verdict.outcome == "reject"
    assert verdict.difference_high < 0
    assert "the candidate is worse, rejected" in verdict.reason


def test_models_of_the_same_quality_are_seldom_promoted():
    """With a 95 % interval, chance promotes an equal model in 2.5 % of contests, not more."""
    contests = 200

    pairs = (contestants(seed, rows=1_000) for seed in range(contests))
    promoted = sum(judge(candidate, champion, SETTINGS).promote for candidate, champion in pairs)

    # Of Binomial(200, 0.025) 99.9 % lies at or below 13.
    assert promoted <= 13


def test_the_bootstrap_promotes_equal_models_as_seldom():
    """The same holds for a metric without an exact interval."""
    settings = SETTINGS.model_copy(update={"metric": "log_loss"})

    pairs = (contestants(seed, rows=600) for seed in range(60))
    promoted = sum(judge(candidate, champion, settings).promote for candidate, champion in pairs)

    # Of Binomial(60, 0.025) 99.9 % lies at or below 7.
    assert promoted <= 7


@pytest.mark.parametrize(
    ("metric", "better"), [("log_loss", 0.3), ("brier", 0.3), ("average_precision", 0.3), ("accuracy", 0.1)]
)
def test_direction_is_taken_from_the_metric(metric, better):
    """A better model gains in every metric, also where lower is better."""
    candidate, champion = contestants(3, candidate_noise=better, champion_noise=2.0)

    verdict = judge(candidate, champion, SETTINGS.model_copy(update={"metric": metric}))

    assert verdict.promote
    assert (verdict.candidate < verdict.champion) == METRICS[metric].lower_is_better
    assert ("lower is better: gain +" in verdict.reason) == METRICS[metric].lower_is_better


def test_regressions_are_judged_too():
    """A regression has no probability; its paired errors decide."""
    random = np.random.default_rng(2)
    truth = random.normal(100, 20, 2_000)
    candidate = Scored(truth, truth + random.normal(0, 5, 2_000), None, "a" * 64)
    champion = Scored(truth, truth + random.normal(0, 8, 2_000), None, "a" * 64)

    verdict = judge(candidate, champion, SETTINGS.model_copy(update={"metric": "rmse", "minimum": 6.0}))

    assert verdict.promote
    assert "rmse must be at most 6, found" in next(rule.detail for rule in verdict.rules if rule.name == "minimum")


def test_the_first_model_needs_only_the_minimum():
    """Without a champion the minimum decides alone."""
    candidate, _ = contestants(4)

    good = judge(candidate, None, SETTINGS.model_copy(update={"minimum": 0.55}))
    bad = judge(candidate, None, SETTINGS.model_copy(update={"minimum": 0.9}))

    assert good.promote
    assert good.champion is None
    assert good.difference_low is None
    assert "there is no champion yet; promoted" in good.reason
    assert bad.outcome == "reject"
    assert bad.reason.startswith("roc_auc must be at least 0.9, found 0.6")


def test_a_better_model_below_the_minimum_is_rejected():
    """Beating a bad champion is not enough."""
    candidate, champion = contestants(4, candidate_noise=0.3, champion_noise=3)

    verdict = judge(candidate, champion, SETTINGS.model_copy(update={"minimum": 0.95}))

    assert verdict.outcome == "reject"
    assert [rule.name for rule in verdict.rules if not rule.passed] == ["minimum"]


def test_a_nan_answer_rejects_the_candidate():
    """One NaN among 3,000 answers is a broken model, however good the rest."""
    candidate, champion = contestants(5, candidate_noise=0.3)
    probability = np.where(np.arange(3_000) == 5, np.nan, candidate.probability)

    verdict = judge(replace(candidate, probability=probability), champion, SETTINGS)

    assert verdict.outcome == "reject"
    assert "every answer of the candidate must be finite, and it holds broken values in probability" in verdict.reason


def test_a_broken_champion_promotes_nobody():
    """If the champion cannot be measured there is nothing to be better than: a person must look."""
    candidate, champion = contestants(5, candidate_noise=0.3)
    broken = replace(champion, probability=np.full(3_000, np.nan))

    verdict = judge(candidate, broken, SETTINGS)

    assert verdict.outcome == "inconclusive"
    assert "the champion's roc_auc must be defined on these rows, found nan" in verdict.reason


def test_other_rows_settle_nothing():
    """Scores from different rows are never compared, not even to a much worse champion."""
    candidate, _ = contestants(6, candidate_noise=0.3, sha="a" * 64)
    _, champion = contestants(7, champion_noise=3, sha="b" * 64)

    verdict = judge(candidate, champion, SETTINGS)

    assert verdict.outcome == "inconclusive"
    assert "candidate aaaaaaaa (3,000 rows), champion bbbbbbbb (3,000 rows)" in verdict.reason


def test_too_few_rows_settle_nothing():
    """Below min_rows neither a better nor a first model is promoted."""
    candidate, champion = contestants(8, rows=400, candidate_noise=0.1, champion_noise=3)

    against = judge(candidate, champion, SETTINGS)
    first = judge(candidate, None, SETTINGS)

    assert against.outcome == first.outcome == "inconclusive"
    assert "at least 500 labelled rows are needed, found 400" in against.reason


def test_one_true_class_settles_nothing():
    """Without a single row of class 1 there is no ROC AUC, so nothing is promoted."""
    candidate, _ = contestants(9)

    verdict = judge(replace(candidate, truth=np.zeros(3_000)), None, SETTINGS)

    assert verdict.outcome == "inconclusive"
    assert "the candidate's roc_auc must be defined on these rows, found nan" in verdict.reason


def test_an_unknown_metric_is_a_mistake_in_the_project_file():
    """A misspelt metric is told to the user, not turned into a verdict."""
    candidate, champion = contestants(10)

    with pytest.raises(ProjectFileError, match=r"must be one of roc_auc, .* it is 'auc'"):
        judge(candidate, champion, SETTINGS.model_copy(update={"metric": "auc"}))


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision"])
def test_the_same_contest_gives_the_same_verdict(metric):
    """A verdict can be replayed to the last digit."""
    candidate, champion = contestants(11)
    settings = SETTINGS.model_copy(update={"metric": metric})

    assert judge(candidate, champion, settings) == judge(candidate, champion, settings)


@pytest.mark.parametrize("decimals", [12, 2, 1])
def test_delong_agrees_with_the_bootstrap(decimals):
    """Two independent ways to the interval give the same one, with few ties and with many."""
    candidate, champion = contestants(12, candidate_noise=0.6)
    one, two = np.round(candidate.probability, decimals), np.round(champion.probability, decimals)

    exact = delong_interval(candidate.truth, one, two, confidence=0.95)
    drawn = bootstrap_interval(
        roc_auc,
        candidate.truth,
        Answers(candidate.prediction, one),
        Answers(champion.prediction, two),
        lower_is_better=False,
        confidence=0.95,
        resamples=1_000,
    )

    # 0.003: three standard errors of the ends of a bootstrap of 1,000 on an interval that is 0.03 wide.
    assert exact == pytest.approx(drawn, abs=0.003)
    difference = roc_auc(candidate.truth, one, one) - roc_auc(candidate.truth, two, two)
    assert sum(exact) / 2 == pytest.approx(difference, abs=1e-6)

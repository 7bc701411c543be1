"""How often the judge is wrong, counted over 500 made-up contests whose true answer is known.

Each bound is the chance that the judge promises plus what 500 throws of that chance may add to it: of binomials with
that chance, 99 % lie at or below the bound. Seeds are fixed, so a count is the same on each run.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from components.evaluation.evidence import Answered, JudgedRows
from components.evaluation.judging import judge
from components.records.scores import Verdict
from components.settings.evaluation import EvaluationSettings
from tests.components.evaluation.sides import answers, failed, of_known_area, with_holdout

SEEDS = 500
# One-sided, at 95 % confidence: of Binomial(500, 0.025) 99 % lie at or below 21.
ALPHA, BOUND = 0.025, 21

Sides = tuple[Answered, Answered, JudgedRows]


def settings(**changes: Any) -> EvaluationSettings:
    """The default gate on contests of 1,000 rows."""
    return EvaluationSettings.model_validate({"min_rows": 500, "bootstrap": 500} | changes)


def verdicts(make: Callable[[int], Sides], wanted: EvaluationSettings, seeds: int = SEEDS) -> Iterable[Verdict]:
    """The verdict on each seed's contest."""
    return [judge(*make(seed), wanted) for seed in range(seeds)]


def promoted(make: Callable[[int], Sides], wanted: EvaluationSettings, seeds: int = SEEDS) -> int:
    """How many of the seeds' contests end in a promotion."""
    return sum(verdict.promote for verdict in verdicts(make, wanted, seeds))


def test_the_bound_is_that_of_a_binomial():
    """The number above, counted from the formula."""
    throws = np.random.default_rng(0).binomial(SEEDS, ALPHA, 1_000_000)

    assert np.quantile(throws, 0.99) == BOUND


@pytest.mark.slow
@pytest.mark.parametrize("shared", [0.0, 0.95])
def test_a_model_of_the_same_quality_is_promoted_no_more_often_than_alpha(shared):
    """Whether the two make the same mistakes or quite other ones."""
    wins = promoted(lambda seed: of_known_area(seed, 0.75, 0.75, shared=shared), settings())

    assert wins <= BOUND
    # The gate is not shut: an exact test lets 12.5 of 500 pass, and of Binomial(500, 0.025) 99 % lie at or above 5.
    assert wins >= 5


@pytest.mark.slow
@pytest.mark.parametrize("margin", [0.01, 0.03])
def test_a_model_worse_by_the_margin_passes_non_inferiority_no_more_often_than_alpha(margin):
    """Exactly at the margin: the worst model that could still be called not inferior."""
    wanted = settings(gate={"test": "non-inferiority", "margin": margin})

    wins = promoted(lambda seed: of_known_area(seed, 0.75 - margin, 0.75), wanted)

    assert 5 <= wins <= BOUND


@pytest.mark.slow
def test_other_rules_let_no_more_equal_models_pass():
    """With a holdout and four slices there are more ways to fail and none to pass by chance."""
    labels = np.array([f"s{row % 4}" for row in range(1_000)])

    def make(seed: int) -> Sides:
        candidate, champion, rows = of_known_area(seed, 0.75, 0.75)
        return with_holdout(candidate, champion, replace(rows, slices={"origin": labels}), seed + SEEDS, size=500)

    wins = promoted(make, settings(slices=("origin",), slice_rows=100))

    assert wins <= BOUND


@pytest.mark.slow
def test_slices_of_an_equal_model_are_called_worse_no_more_often_than_alpha():
    """Five slices and no margin: their intervals are widened for their number, so 1 contest in 40, not 1 in 8.

    With a margin it is rarer still.
    """
    labels = np.array([f"s{row % 5}" for row in range(1_000)])

    def make(seed: int) -> Sides:
        candidate, champion, rows = of_known_area(seed, 0.75, 0.75)
        return candidate, champion, replace(rows, slices={"origin": labels})

    found = verdicts(make, settings(slices=("origin",), slice_rows=100, gate={"slice_margin": 0.0}))

    assert sum("slices" in failed(verdict) for verdict in found) <= BOUND


@pytest.mark.slow
def test_a_clearly_worse_slice_under_a_better_mean_is_rejected():
    """Nine slices gain and one is lost: better on average in every contest, yet rejected for it in nearly all."""
    labels = np.array([f"s{row % 10}" for row in range(4_000)])

    def make(seed: int) -> Sides:
        candidate, champion, rows = of_known_area(seed, 0.85, 0.75, rows=4_000)
        lost = np.random.default_rng(seed + SEEDS).normal(size=4_000)
        scores = np.log(candidate.recent.answers.probability / (1 - candidate.recent.answers.probability))
        mixed = answers(np.where(labels == "s3", lost, scores))
        candidate = replace(candidate, recent=replace(candidate.recent, answers=mixed))
        return candidate, champion, replace(rows, slices={"origin": labels})

    found = list(verdicts(make, settings(slices=("origin",), slice_rows=200), 100))

    assert all(verdict.difference_low > 0 for verdict in found)
    rejected = [verdict for verdict in found if verdict.outcome == "reject"]
    assert len(rejected) >= 95
    assert all("origin=s3" in verdict.reason for verdict in rejected)


@pytest.mark.slow
@pytest.mark.parametrize(("test", "area"), [("superiority", 0.80), ("non-inferiority", 0.75)])
def test_a_model_that_deserves_it_is_mostly_promoted(test, area):
    """0.05 better, or as good where a loss of 0.03 is let pass: the judge is careful, not blind.

    At 1,000 rows the interval reaches some 0.02 to each side, so more than nine in ten must pass.
    """
    wanted = settings(gate={"test": test, "margin": 0.03})

    assert promoted(lambda seed: of_known_area(seed, area, 0.75, shared=0.9), wanted) >= 0.9 * SEEDS


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["log_loss", "accuracy"])
def test_the_bootstrap_promotes_equal_models_as_seldom(metric):
    """The same bound holds for metrics without an exact interval."""
    wanted = settings(metric=metric, gate={"beat": "none"})

    wins = promoted(lambda seed: of_known_area(seed, 0.75, 0.75), wanted)

    assert 5 <= wins <= BOUND


@pytest.mark.slow
def test_the_number_of_rows_that_would_settle_it_is_about_right():
    """With so many rows a contest of a truly better model is settled about as often as not, or oftener."""
    gain = 0.02
    found = [judge(*of_known_area(seed, 0.75 + gain, 0.75), settings()) for seed in range(200)]
    undecided = [verdict for verdict in found if verdict.outcome == "inconclusive"]

    told = [verdict.rows + verdict.rows_to_settle for verdict in undecided if verdict.rows_to_settle is not None]

    assert len(undecided) > 50
    # From formulas: the rows at which the interval of the true gain begins at 0. What is told scatters widely around.
    reach = np.median([verdict.difference_high - verdict.difference_low for verdict in found]) / 2
    truly = 1_000 * (reach / gain) ** 2
    assert truly / 2 < np.median(told) < truly * 4
    settled = [
        judge(*of_known_area(seed + SEEDS, 0.75 + gain, 0.75, rows=round(truly)), settings()) for seed in range(100)
    ]
    # A half, and of Binomial(100, 0.5) 99.9 % lie between 34 and 66.
    assert 34 <= sum(verdict.promote for verdict in settled) <= 66

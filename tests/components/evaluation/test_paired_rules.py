"""The rules that compare: over a simple model, over the champion on old rows, and slice by slice."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from components.evaluation import paired_rules
from components.evaluation.evidence import Answered, JudgedRows
from components.evaluation.metrics import METRICS
from components.settings.evaluation import EvaluationSettings
from tests.components.evaluation.sides import answers, contestants, with_holdout

AREA = METRICS["roc_auc"]


def settings(**changes: Any) -> EvaluationSettings:
    """Settings with slices of 200 rows and more."""
    return EvaluationSettings.model_validate({"slices": ("origin",), "slice_rows": 200, "min_rows": 1_000} | changes)


def sliced(
    seed: int, *, slices: int = 4, bad: int = 0, rows: int = 4_000, noise: float = 3.0
) -> tuple[Answered, Answered, JudgedRows]:
    """A candidate that is better than the champion, but answers the first `bad` slices through so much noise."""
    candidate, champion, judged = contestants(seed, rows=rows, candidate_noise=0.3, champion_noise=1.0)
    origin = np.arange(rows) * slices // rows
    clear = np.log(candidate.recent.answers.probability / (1 - candidate.recent.answers.probability))
    spoilt = clear + np.random.default_rng(seed + 1_000).normal(0, noise, rows)
    mixed = answers(np.where(origin < bad, spoilt, clear))
    labels = np.array([f"s{number}" for number in origin])
    candidate = replace(candidate, recent=replace(candidate.recent, answers=mixed))
    return candidate, champion, replace(judged, slices={"origin": labels})


@pytest.mark.parametrize(
    ("name", "worth"), [("constant", "a model that has learned nothing"), ("linear", "a sum of its columns")]
)
def test_a_model_that_ranks_like_chance_is_worth_nothing(name, worth):
    """Answers made without looking at the rows are no better than a simple model's."""
    candidate, _, rows = contestants(1)
    blind = answers(np.random.default_rng(3).normal(size=3_000))
    wanted = settings(gate={"beat": name})

    learned = paired_rules.beats(AREA, candidate, rows, wanted)
    nothing = paired_rules.beats(
        AREA, replace(candidate, recent=replace(candidate.recent, answers=blind)), rows, wanted
    )

    assert learned.rule.passed
    assert nothing.rejects
    assert nothing.rule.detail.startswith(f"the interval of the gain over the simple model '{name}' must lie above 0")
    assert nothing.rule.detail.endswith(f": on these rows the candidate is worth no more than {worth}")


def test_without_the_simple_model_nothing_is_settled():
    """It was asked for, and is not there; unless the project file wants none."""
    candidate, _, rows = contestants(1)
    alone = replace(candidate, comparator=None)

    found = paired_rules.beats(AREA, alone, rows, settings())

    assert (found.rule.passed, found.rejects) == (False, False)
    assert "but there are no answers of it" in found.rule.detail
    assert paired_rules.beats(AREA, alone, rows, settings(gate={"beat": "none"})).rule.passed


@pytest.mark.parametrize(
    ("noise", "size", "passed", "rejects"),
    [(0.5, 4_000, True, False), (1.0, 4_000, True, False), (3.0, 4_000, False, True), (1.0, 600, False, False)],
    ids=["better", "as good", "much worse", "too few to say"],
)
def test_the_old_must_not_be_lost(noise, size, passed, rejects):
    """On the holdout the candidate may be a little worse, not more; few rows leave it open."""
    sides = with_holdout(*contestants(1), 5, size=size, candidate_noise=noise)

    found = paired_rules.holdout(AREA, *sides, settings(gate={"holdout_margin": 0.03}))

    assert (found.rule.passed, found.rejects) == (passed, rejects)
    assert f"on {size:,} rows of the holdout the interval of the gain must lie above -0.03" in found.rule.detail
    # Rows of the holdout are a share of all labelled rows, so their number is told, and not promised.
    assert found.rows_to_settle is None
    assert ("more rows in the holdout would settle it" in found.outlook) == (not passed and not rejects)


def test_a_holdout_of_few_rows_settles_nothing():
    """Half of min_rows are wanted; the sentence says what to change."""
    sides = with_holdout(*contestants(1), 5, size=499)

    found = paired_rules.holdout(AREA, *sides, settings())

    assert (found.rule.passed, found.rejects) == (False, False)
    assert "at least 500 rows of the holdout are needed, found 499; raise data.split.holdout_share" in found.rule.detail


def test_no_holdout_is_said_and_holds():
    """A project that keeps none is judged on its recent rows."""
    found = paired_rules.holdout(AREA, *contestants(1), settings())

    assert found.rule.passed
    assert "keeps no holdout" in found.rule.detail


def test_a_first_model_has_nobody_to_compare_with_on_the_holdout():
    """There is no older answer."""
    candidate, _, rows = with_holdout(*contestants(1), 5)

    assert paired_rules.holdout(AREA, candidate, None, rows, settings()).rule.passed


def test_a_clearly_worse_slice_is_named():
    """With its rows and its interval, wider than 95 % for the four that were looked at."""
    found = paired_rules.slices(AREA, *sliced(1, bad=1), settings())

    assert found.rejects
    assert "no slice may be worse by more than 0.02 beyond doubt, but 1 of 4 are: origin=s0" in found.rule.detail
    assert "(98.75 % interval" in found.rule.detail


def test_slices_that_are_all_better_hold_and_the_lowest_is_told():
    """So that a reader sees how close it was."""
    found = paired_rules.slices(AREA, *sliced(1), settings())

    assert found.rule.passed
    assert "and none of 4 is; lowest: origin=s" in found.rule.detail


def test_a_slice_within_the_margin_is_let_be():
    """A little noise costs a little: less than the margin beyond doubt."""
    assert paired_rules.slices(AREA, *sliced(1, bad=1, noise=0.9), settings()).rule.passed


def test_small_slices_are_left_out():
    """Forty slices of 100 rows: none can be told."""
    found = paired_rules.slices(AREA, *sliced(1, slices=40, bad=5), settings())

    assert found.rule.passed
    assert "none has 200 rows on which roc_auc can be told" in found.rule.detail


def test_a_slice_of_one_class_says_nothing_and_is_counted():
    """Nobody ranks it better or worse."""
    candidate, champion, rows = sliced(1)
    truth = np.where(rows.slices["origin"] == "s2", 0, rows.recent.truth)

    found = paired_rules.slices(
        AREA, candidate, champion, replace(rows, recent=replace(rows.recent, truth=truth)), settings()
    )

    assert found.rule.passed
    assert "none of 3 is, 1 cannot be measured" in found.rule.detail


def test_a_declared_slice_that_is_not_there_settles_nothing():
    """A column nobody can look at is a rule that fails."""
    found = paired_rules.slices(AREA, *contestants(1), settings())

    assert (found.rule.passed, found.rejects) == (False, False)
    assert "the rows have no column ['origin']" in found.rule.detail


def test_nobody_to_compare_slices_with_is_said():
    """A first model, and a project that declares none."""
    candidate, champion, rows = sliced(1)

    first = paired_rules.slices(AREA, candidate, None, rows, settings())
    none = paired_rules.slices(AREA, candidate, champion, rows, settings(slices=()))

    assert first.rule.passed
    assert none.rule.passed
    assert (first.rule.detail, none.rule.detail) == (
        "there is no champion to compare slices with",
        "no slices are declared",
    )

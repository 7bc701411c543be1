"""What becomes of a new champion: each rule by itself, and how often chance alone brings the old one back."""

import math
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from statistics import NormalDist

import numpy as np
import polars as pl
import pytest

from components.evaluation.comparing import Comparison
from components.evaluation.probation import SURE_AT_EVERY_LOOK, ProbationEvidence, probation
from components.evaluation.rivals import quality
from components.records.models import Challenger, ModelVersion
from components.records.rows import Column, Schema
from components.settings.evaluation import EvaluationSettings
from components.settings.monitoring import ProbationSettings

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
OLD = Challenger(ModelVersion("flights", 3, "run", "a" * 64), "shadow", 0.0, 0, START, 4, "probation")
WEEK = ProbationSettings(length="7d")
GOOD = Comparison(0.71, 0.70, -0.02, 0.04, SURE_AT_EVERY_LOOK, 812, lower_is_better=False)
WORSE = Comparison(0.62, 0.70, -0.13, -0.03, SURE_AT_EVERY_LOOK, 812, lower_is_better=False)
SEEN = ProbationEvidence(champion=4, labelled_rows=812, quality=GOOD)


def test_a_champion_that_is_no_worse_stays_when_its_time_is_over():
    """The sentence has both values, the interval and how long it lasted."""
    early, late = (probation(OLD, SEEN, WEEK, START + days * DAY) for days in (2, 7))

    assert (early.outcome, late.outcome) == ("hold", "keep")
    assert "on 812 labelled rows 0.71 against 0.7, difference +0.010 (99.98 % interval -0.020 to +0.040)" in late.reason
    assert late.reason.endswith("the probation is to last 7 days, and has lasted 7 days, so it stays")
    assert [rule.name for rule in early.missing] == ["time"]


def test_a_champion_that_is_worse_beyond_doubt_goes_back_at_once():
    """Nobody waits for the end of its time."""
    step = probation(OLD, replace(SEEN, quality=WORSE), WEEK, START + DAY)

    assert (step.outcome, step.challenger) == ("roll_back", OLD)
    assert step.reason == (
        "version 4 may not be worse than version 3, beyond doubt; on 812 labelled rows 0.62 against 0.7, "
        "difference -0.080 (99.98 % interval -0.130 to -0.030)"
    )


def test_a_loss_that_is_allowed_rolls_nothing_back():
    """The whole interval must lie beyond the loss that the project file allows."""
    lenient = WEEK.model_copy(update={"max_quality_loss": 0.05})

    step = probation(OLD, replace(SEEN, quality=WORSE), lenient, START + DAY)

    assert step.outcome == "hold"
    assert "may not be worse than version 3 by more than 0.05, beyond doubt" in step.reason


TABLE = [
    # what was seen, the outcome before and after its time, what the reason says
    ({"labelled_rows": 120, "quality": None}, ("hold", "keep"), "not enough labels came to tell: 120 of 500"),
    ({"labelled_rows": 499, "quality": WORSE}, ("hold", "keep"), "not enough labels came to tell: 499 of 500"),
    (
        {"labelled_rows": 0, "quality": None, "refused": "no connection"},
        ("hold", "keep"),
        r"0 of 500 \(no connection\)",
    ),
    ({"champion": 5, "quality": WORSE}, ("abort", "abort"), "is of version 4, and the champion is version 5"),
    ({"quality": replace(WORSE, low=math.nan, high=math.nan)}, ("hold", "keep"), "with too few rows of a class"),
]


@pytest.mark.parametrize(("seen", "outcomes", "reason"), TABLE)
def test_what_is_not_known_brings_nobody_back(seen, outcomes, reason):
    """Too few labels, an interval that cannot be measured, another champion: the outcome and the sentence say so."""
    early, late = (probation(OLD, replace(SEEN, **seen), WEEK, START + days * DAY) for days in (1, 8))

    assert (early.outcome, late.outcome) == outcomes
    assert all(re.search(reason, step.reason) for step in (early, late)), (early.reason, late.reason)


def test_a_probation_that_nobody_asks_for_any_more_ends():
    """The setting was taken out of the project file meanwhile."""
    step = probation(OLD, SEEN, ProbationSettings(), START + DAY)

    assert step.outcome == "keep"
    assert "the project file asks for no probation any more" in step.reason


def test_a_metric_of_which_less_is_better_is_read_the_right_way_round():
    """A log loss that rose beyond doubt is a worse model."""
    risen = Comparison(0.70, 0.60, -0.14, -0.06, SURE_AT_EVERY_LOOK, 812, lower_is_better=True)

    step = probation(OLD, replace(SEEN, quality=risen), WEEK, START + DAY)

    assert step.outcome == "roll_back"
    assert "0.7 against 0.6, gain -0.100" in step.reason


LOOKS = 300
REACH = NormalDist().inv_cdf(0.5 + SURE_AT_EVERY_LOOK / 2)


def test_of_five_hundred_equal_models_hardly_one_comes_back():
    """300 looks each, while the labels grow from 500 to 5,000: the gain is a mean of that many rows' differences."""
    generator = np.random.default_rng(20_260_301)
    rows = np.linspace(500, 5_000, LOOKS).astype(int)

    back = sum(_is_rolled_back(_walk(generator, rows, mean=0.0), rows) for _ in range(500))

    print(f"equal models: {back} of 500 probations rolled back")  # of 20,000 such walks 26, and 450 with 99.5 %
    assert back < 5


def test_of_a_hundred_worse_models_nearly_all_come_back():
    """A loss of a seventh of the spread of the rows' differences: six standard deviations at 2,000 labels."""
    generator = np.random.default_rng(7)
    rows = np.linspace(500, 5_000, LOOKS).astype(int)

    back = sum(_is_rolled_back(_walk(generator, rows, mean=-1 / 7), rows) for _ in range(100))

    assert back >= 95


def _walk(generator: np.random.Generator, rows: np.ndarray, *, mean: float) -> np.ndarray:
    """The mean difference after each look; each row's is drawn from a normal of deviation 1."""
    new = np.diff(rows, prepend=0)
    return np.cumsum(generator.normal(mean * new, np.sqrt(new))) / rows


def _is_rolled_back(gains: np.ndarray, rows: np.ndarray) -> bool:
    reach = REACH / np.sqrt(rows)
    for gain, end, count in zip(gains.tolist(), reach.tolist(), rows.tolist(), strict=True):
        found = Comparison(gain, 0.0, gain - end, gain + end, SURE_AT_EVERY_LOOK, count, lower_is_better=False)
        seen = ProbationEvidence(champion=4, labelled_rows=count, quality=found)
        if probation(OLD, seen, WEEK, START).outcome == "roll_back":
            return True
    return False


SCHEMA = Schema((Column("temp", "number"),), target="late", target_kind="binary", timestamp="at")
EVALUATION = EvaluationSettings(bootstrap=200)


def answered(generator: np.random.Generator, rows: int, *, noise: float) -> pl.DataFrame:
    """Rows that both sides answered: the same signal, each with a noise of its own; that of the champion's is given."""
    signal = generator.normal(size=rows)
    label = (signal + generator.normal(size=rows) > 0.8).astype(np.int64)
    sides = []
    for is_candidate, spread in ((True, noise), (False, 1.0)):
        probability = 1 / (1 + np.exp(-signal - spread * generator.normal(size=rows)))
        sides.append(
            pl.DataFrame(
                {
                    "is_challenger": np.full(rows, is_candidate),
                    "prediction_id": [f"{row:06}" for row in range(rows)],
                    "prediction": (probability > 0.5).astype(np.int64),
                    "probability": probability,
                    "label": label,
                }
            )
        )
    return pl.concat(sides)


def ends_rolled_back(generator: np.random.Generator, *, noise: float, looks: int) -> bool:
    """A probation of 3,000 labelled rows, looked at so often, measured as it is in earnest."""
    frame = answered(generator, 3_000, noise=noise)
    for count in np.linspace(500, 3_000, looks).astype(int):
        part = frame.filter(pl.col("prediction_id") < f"{count:06}")
        found = quality(part, SCHEMA, EVALUATION, is_paired=True, confidence=SURE_AT_EVERY_LOOK)
        seen = ProbationEvidence(champion=4, labelled_rows=int(count), quality=found)
        if probation(OLD, seen, WEEK, START).outcome == "roll_back":
            return True
    return False


def test_a_clearly_worse_champion_is_found_on_real_answers():
    """An ROC AUC of 0.65 after one of 0.74: at least 19 of 20 probations roll back within 20 looks."""
    generator = np.random.default_rng(3)

    back = [ends_rolled_back(generator, noise=2.0, looks=20) for _ in range(20)]

    assert sum(back) >= 19


@pytest.mark.slow
def test_equal_champions_stay_on_real_answers():
    """DeLong's interval holds what the simulated one promises: of 60 equal models none comes back in 50 looks each."""
    generator = np.random.default_rng(11)

    back = [ends_rolled_back(generator, noise=1.0, looks=50) for _ in range(60)]

    assert sum(back) == 0

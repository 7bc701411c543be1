"""Made-up sides of a contest whose true quality is known, and the rows that they are judged on."""

from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np

from components.evaluation.evidence import Answered, JudgedRows, LabelledRows, RowAnswers
from components.evaluation.intervals import Answers
from components.records.scores import Rule, Verdict

RECENT, OLD = "a" * 64, "b" * 64
APART = {"validation": 0.0, "test": 0.0}


def answers(scores: Any) -> Answers:
    """A binary model that answers with these scores as log odds."""
    probability = 1 / (1 + np.exp(-scores))
    return Answers((probability >= 0.5).astype(np.int64), probability)


def constant(truth: Any) -> Answers:
    """The simple model that says the same of every row."""
    return Answers(np.zeros(truth.size, np.int64), np.full(truth.size, truth.mean()))


def contestants(
    seed: int, *, rows: int = 3_000, candidate_noise: float = 1.0, champion_noise: float = 1.0
) -> tuple[Answered, Answered, JudgedRows]:
    """Two models that see the same signal through noise of their own; less noise is a better model."""
    random = np.random.default_rng(seed)
    signal = random.normal(-1, 1, rows)
    truth = (random.random(rows) < 1 / (1 + np.exp(-signal))).astype(np.int64)
    one, two = (answers(signal + random.normal(0, noise, rows)) for noise in (candidate_noise, champion_noise))
    candidate = Answered(RowAnswers(one, RECENT), comparator=constant(truth))
    return candidate, Answered(RowAnswers(two, RECENT)), JudgedRows(LabelledRows(truth, RECENT), seen=APART)


def with_holdout(
    candidate: Answered, champion: Answered, rows: JudgedRows, seed: int, *, size: int = 2_000, **noises: float
) -> tuple[Answered, Answered, JudgedRows]:
    """The same contest, with a holdout on which both have a noise of their own."""
    old, older, older_rows = contestants(seed, rows=size, **noises)
    return (
        replace(candidate, holdout=replace(old.recent, sha256=OLD)),
        replace(champion, holdout=replace(older.recent, sha256=OLD)),
        replace(rows, holdout=LabelledRows(older_rows.recent.truth, OLD)),
    )


def of_known_area(
    seed: int, candidate_area: float, champion_area: float, *, rows: int = 1_000, shared: float = 0.8
) -> tuple[Answered, Answered, JudgedRows]:
    """Two models of exactly these true areas under the ROC curve, whose mistakes are alike to a degree.

    Scores are normal with the same spread in both classes, so the area is the normal curve's value at the distance of
    the two means over the square root of 2.
    """
    random = np.random.default_rng(seed)
    truth = (random.random(rows) < 0.3).astype(np.int64)
    together = random.normal(size=rows) * shared**0.5

    def scores(area: float) -> Any:
        distance = 2**0.5 * NormalDist().inv_cdf(area)
        return distance * truth + together + random.normal(size=rows) * (1 - shared) ** 0.5

    candidate = Answered(RowAnswers(answers(scores(candidate_area)), RECENT), comparator=constant(truth))
    champion = Answered(RowAnswers(answers(scores(champion_area)), RECENT))
    return candidate, champion, JudgedRows(LabelledRows(truth, RECENT), seen=APART)


def rule(verdict: Verdict, name: str) -> Rule:
    """The rule of that name; KeyError if it was not looked at."""
    return {one.name: one for one in verdict.rules}[name]


def failed(verdict: Verdict) -> list[str]:
    """Names of the rules that failed."""
    return [one.name for one in verdict.rules if not one.passed]

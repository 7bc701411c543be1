"""Each limit by itself: it refuses what is over it, and what was not measured at all."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from components.evaluation import gate_rules
from components.evaluation.evidence import JudgedRows
from components.evaluation.findings import Finding
from components.evaluation.intervals import Answers
from components.evaluation.metrics import METRICS
from components.records.models import Footprint, Latency
from components.records.scores import Rule
from components.settings.evaluation import ChangeBehaviour, ChangeSettings, EvaluationSettings
from tests.components.evaluation.sides import answers, contestants

AREA = METRICS["roc_auc"]


def settings(**gate: Any) -> EvaluationSettings:
    """Settings with these limits."""
    return EvaluationSettings.model_validate({"groups": ("sex",), "gate": gate})


def outcome(finding: Finding) -> str:
    """What the rule's failure means."""
    return "held" if finding.rule.passed else "rejects" if finding.rejects else "settles nothing"


def unequal(seed: int = 1) -> tuple[Any, JudgedRows]:
    """A model that sees one half of the rows through three times the noise."""
    random = np.random.default_rng(seed + 1_000)
    candidate, _, rows = contestants(seed, rows=4_000, candidate_noise=0.1)
    first = np.arange(4_000) < 2_000
    scores = np.log(candidate.recent.answers.probability / (1 - candidate.recent.answers.probability))
    noisy = answers(np.where(first, scores, scores + random.normal(0, 3, 4_000)))
    candidate = replace(candidate, recent=replace(candidate.recent, answers=noisy))
    return candidate, replace(rows, groups={"sex": np.where(first, "m", "f")})


@pytest.mark.parametrize(
    ("limit", "p99", "expected"),
    [(None, None, "held"), (5.0, 4.9, "held"), (5.0, 5.1, "rejects"), (5.0, None, "settles nothing")],
)
def test_latency_is_that_of_one_row(limit, p99, expected):
    """The slow calls with one row count, not those with 32."""
    candidate, _, _ = contestants(1, rows=600)
    if p99 is not None:
        candidate = replace(candidate, footprint=Footprint((Latency(1, 1.0, p99), Latency(32, 9.0, 99.0)), 1e5, 10, 90))

    found = gate_rules.latency(candidate, settings(max_p99_ms=limit))

    assert outcome(found) == expected


def test_a_footprint_without_single_rows_says_nothing_of_them():
    """What was measured at 32 rows a call is not what an application waits for."""
    candidate = replace(contestants(1, rows=600)[0], footprint=Footprint((Latency(32, 1.0, 2.0),), 1e5, 10, 90))

    found = gate_rules.latency(candidate, settings(max_p99_ms=5))

    assert outcome(found) == "settles nothing"
    assert "5 ms at most, but none was measured" in found.rule.detail


@pytest.mark.parametrize(
    ("limit", "megabytes", "expected"),
    [(None, None, "held"), (2.0, 2.0, "held"), (2.0, 2.1, "rejects"), (2.0, None, "settles nothing")],
)
def test_size_is_that_of_the_graph(limit, megabytes, expected):
    """At the limit is within it."""
    candidate = replace(contestants(1, rows=600)[0], megabytes=megabytes)

    assert outcome(gate_rules.size(candidate, settings(max_mb=limit))) == expected


def test_calibration_is_looked_at_where_a_limit_is_set():
    """A model that is too sure by far passes without a limit and fails with one."""
    candidate, _, rows = contestants(1)
    sure = np.clip(candidate.recent.answers.probability * 2 - 0.5, 0, 1)
    boastful = replace(candidate, recent=replace(candidate.recent, answers=Answers((sure > 0.5).astype(int), sure)))

    found = gate_rules.calibration(boastful, rows, settings(max_calibration_error=0.1))

    assert outcome(found) == "rejects"
    assert "calibration_error must be at most 0.1, found 0.2" in found.rule.detail
    assert outcome(gate_rules.calibration(boastful, rows, settings(max_calibration_error=0.5))) == "held"
    assert outcome(gate_rules.calibration(boastful, rows, settings())) == "held"


def test_a_regression_has_no_calibration_to_be_within():
    """The limit cannot be looked at, so it fails: closed by default."""
    candidate, _, rows = contestants(1)
    values = replace(candidate, recent=replace(candidate.recent, answers=Answers(rows.recent.truth * 1.0, None)))

    found = gate_rules.calibration(values, rows, settings(max_calibration_error=0.1))

    assert outcome(found) == "settles nothing"


@pytest.mark.parametrize(("limit", "expected"), [(None, "held"), (0.3, "held"), (0.1, "rejects")])
def test_groups_may_be_only_so_far_apart(limit, expected):
    """One sex is served with an area of 0.75, the other with 0.59."""
    candidate, rows = unequal()

    found = gate_rules.groups(AREA, candidate, rows, settings(max_group_gap=limit))

    assert outcome(found) == expected
    if limit:
        assert "found sex: f 0.5" in found.rule.detail
        assert ", gap 0.1" in found.rule.detail


@pytest.mark.parametrize(
    ("groups", "why"),
    [
        ({}, "fewer than two of them have 500 rows"),
        ({"sex": np.full(4_000, "f")}, "fewer than two of them have 500 rows"),
        ({"sex": np.where(np.arange(4_000) < 499, "f", "m")}, "fewer than two of them have 500 rows"),
    ],
)
def test_groups_that_cannot_be_compared_settle_nothing(groups, why):
    """No such column, one group, or too few rows of the other: the limit is set, so the rule fails."""
    candidate, rows = unequal()

    found = gate_rules.groups(AREA, candidate, replace(rows, groups=groups), settings(max_group_gap=0.3))

    assert outcome(found) == "settles nothing"
    assert why in found.rule.detail


def test_a_limit_without_declared_groups_settles_nothing():
    """Nobody has said which groups are meant."""
    candidate, rows = unequal()
    undeclared = settings(max_group_gap=0.3).model_copy(update={"groups": ()})

    found = gate_rules.groups(AREA, candidate, rows, undeclared)

    assert outcome(found) == "settles nothing"
    assert "evaluation.groups declares none" in found.rule.detail


def test_every_declared_behaviour_must_hold():
    """One that fails rejects with its own words; one that was not tested settles nothing."""
    change = ChangeBehaviour(name="warmer", column="temp", change=ChangeSettings(add=5), expect="up")
    declared = EvaluationSettings(behaviours=(change, change))
    candidate, _, _ = contestants(1, rows=600)
    good, bad = Rule("warmer", True, "all right"), Rule("warmer", False, "41 of 100 rows went down")

    def found(*rules: Rule) -> Finding:
        return gate_rules.behaviours(replace(candidate, behaviours=rules), declared)

    assert outcome(found(good, good)) == "held"
    assert outcome(found(good, bad)) == "rejects"
    assert found(good, bad).rule.detail == "1 of 2 behaviours fail: warmer: 41 of 100 rows went down"
    assert outcome(found(good)) == "settles nothing"
    assert outcome(gate_rules.behaviours(candidate, declared)) == "settles nothing"
    assert outcome(gate_rules.behaviours(candidate, EvaluationSettings())) == "held"


def test_shares_of_rows_seen_are_told_by_part():
    """Also where all is well."""
    _, _, rows = contestants(1, rows=600)

    found = gate_rules.rows_apart(replace(rows, seen={"validation": 0.25, "test": 0.0}))

    assert outcome(found) == "rejects"
    assert found.rule.detail.endswith("found shares of 0.25 of validation, 0 of test")


def test_a_share_that_is_not_known_is_not_believed_to_be_small():
    """NaN is not below the limit."""
    _, _, rows = contestants(1, rows=600)

    assert outcome(gate_rules.rows_apart(replace(rows, seen={"test": float("nan")}))) == "rejects"


def test_rows_that_nobody_compared_settle_nothing():
    """No share is not a share of 0."""
    _, _, rows = contestants(1, rows=600)

    assert outcome(gate_rules.rows_apart(replace(rows, seen={}))) == "settles nothing"

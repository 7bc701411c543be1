"""What follows from a window is said with numbers, and said again when history is replayed."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from components.errors import DataError, ProjectFileError
from components.monitoring.deciding import decide
from components.records.watching import Decision, History, Retraining, Window, WindowFacts
from components.settings.monitoring import MonitoringSettings

START = datetime(2013, 5, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


def policy(**monitoring) -> MonitoringSettings:
    """Two of three windows, 1,000 rows, 30 % of the columns or 0.03 of the metric, two weeks of rest."""
    trigger = monitoring.pop("trigger", {})
    return MonitoringSettings.model_validate({"window": "7d", "cooldown": "14d", "trigger": trigger, **monitoring})


def history(facts: Sequence[WindowFacts], retrainings: Sequence[Retraining] = (), metric: str = "roc_auc") -> History:
    """What `decide` looks at."""
    return History("flights", metric, tuple(facts), tuple(retrainings))


def week(number: int, **facts) -> WindowFacts:
    """A calm week with all its labels."""
    window = Window(START + number * WEEK, START + (number + 1) * WEEK)
    calm = WindowFacts(window, 1, 6_000, 5_000, ("temp",), 0.1, False, (), 0.70, 0.70)
    return replace(calm, **facts)


def drifted(number: int, **facts) -> WindowFacts:
    """A week in which 4 of 10 columns drifted."""
    return week(number, drift_share=0.4, drifted_columns=("temp", "dewp", "humid", "visib"), **facts)


def replay(facts: Sequence[WindowFacts], rules: MonitoringSettings) -> list[Decision]:
    """All decisions on a history, each made with what was known at its time."""
    decisions: list[Decision] = []
    for number in range(len(facts)):
        decisions.append(decide(history(facts[: number + 1], asked(decisions)), rules))
    return decisions


def asked(decisions: Sequence[Decision]) -> list[Retraining]:
    """The retrainings that these decisions asked for."""
    return [Retraining(each.id, each.window) for each in decisions if each.verdict == "retrain"]


def test_two_breached_windows_of_three_ask_for_a_retraining():
    """The reason names the share, its limit, the columns and the count."""
    decision = decide(history([drifted(0), week(1), drifted(2)]), policy())

    assert decision.verdict == "retrain"
    assert decision.reason == (
        "yes, because in 2013-05-15..2013-05-22 40% of the columns drifted (limit 30%: temp, dewp, humid, visib); "
        "2 of the last 3 windows breached under version 1"
    )
    assert all(rule.passed for rule in decision.rules)


def test_one_breached_window_is_not_enough():
    """A single odd week is waited out, and the reason still tells what was odd."""
    decision = decide(history([week(0), week(1), drifted(2)]), policy())

    assert decision.verdict == "keep"
    assert decision.reason.startswith("no, although in 2013-05-15..2013-05-22 40% of the columns drifted")
    assert decision.reason.endswith("because 1 of the last 3 windows breached under version 1; 2 are needed")


def test_what_calmed_down_is_left_alone():
    """Two bad weeks followed by a good one ask for nothing."""
    decision = decide(history([drifted(0), drifted(1), week(2)]), policy())

    assert decision.verdict == "keep"
    assert decision.reason == (
        "no, because 2013-05-15..2013-05-22 is within its limits: 10% of the columns drifted (limit 30%), "
        "and roc_auc was 0.7000, 0.0000 better than at registration (limit 0.03)"
    )


def test_lost_quality_breaches_without_any_drift():
    """The world can change while the inputs do not."""
    decision = decide(history([week(0, quality=0.66), week(1, quality=0.65)]), policy())

    assert decision.verdict == "retrain"
    assert "roc_auc was 0.6500, which is 0.0500 worse than 0.7000 at registration (limit 0.03)" in decision.reason


@pytest.mark.parametrize(("metric", "quality"), [("roc_auc", 0.80), ("log_loss", 0.60)])
def test_a_better_window_is_no_breach(metric: str, quality: float):
    """Higher is better for one metric, lower for the other."""
    once = policy(trigger={"windows": 1, "of": 1})

    assert decide(history([week(0, quality=quality)], metric=metric), once).verdict == "keep"
    assert decide(history([week(0, quality=1.4 - quality)], metric=metric), once).verdict == "retrain"


def test_few_labels_say_nothing_about_quality():
    """Labels come late: the first few of a window are no sample of it."""
    decision = decide(history([week(0, quality=0.5, labelled_rows=499)]), policy())

    assert decision.verdict == "keep"
    assert "roc_auc is not known yet (499 labels)" in decision.reason


def test_few_rows_say_nothing_at_all():
    """A quiet night is neither drift nor damage."""
    decision = decide(history([drifted(0), drifted(1), drifted(2, rows=12, broken_columns=("temp",))]), policy())

    assert decision.verdict == "keep"
    assert decision.reason == (
        "no, because 2013-05-15..2013-05-22 has 12 predictions, and 1,000 are needed to say anything"
    )


def test_broken_data_are_asked_about_and_never_learned_from():
    """However far everything else moved."""
    facts = [drifted(0), drifted(1), drifted(2, quality=0.5, broken_columns=("temp", "visib"))]

    decision = decide(history(facts), policy())

    assert decision.verdict == "ask"
    assert decision.reason == (
        "ask a person, because 2 columns are empty or missing far more often than in training: temp, visib"
    )


def test_a_broken_window_does_not_count_as_breached_later():
    """What moved in it was the damage."""
    decision = decide(history([drifted(0, broken_columns=("temp",)), drifted(1)]), policy())

    assert decision.verdict == "keep"


def test_after_a_promotion_counting_begins_anew():
    """Breaches measured against what an older version had seen say nothing about the new one."""
    facts = [drifted(0), drifted(1), drifted(2, version=2)]

    decision = decide(history(facts), policy())

    assert decision.verdict == "keep"
    assert decision.reason.endswith(
        "because 1 of the last 3 windows breached under version 2, which has answered 1 of them; 2 are needed"
    )


def test_a_retraining_is_followed_by_rest():
    """In event time, from the end of the window that asked for it; decisions about later windows do not count."""
    facts = [drifted(number) for number in range(5)]

    decisions = replay(facts, policy())

    assert [decision.verdict for decision in decisions] == ["keep", "retrain", "keep", "retrain", "keep"]
    assert (
        "because the last retraining was asked for 7 days ago (2013-05-15), and it rests 14 days" in decisions[2].reason
    )
    assert decide(history(facts[:2], asked(decisions)), policy()).verdict == "retrain"


def test_every_no_has_a_reason_and_replaying_gives_the_same():
    """Over 300 made-up weeks of all kinds."""
    rng = np.random.default_rng(11)
    facts = [
        week(
            number,
            version=1 + number // 40,
            rows=int(rng.choice([0, 300, 6_000], p=[0.05, 0.1, 0.85])),
            labelled_rows=int(rng.choice([0, 5_000])),
            drift_share=None if rng.random() < 0.1 else float(rng.random()),
            quality=None if rng.random() < 0.3 else float(rng.uniform(0.6, 0.75)),
            broken_columns=("visib",) if rng.random() < 0.1 else (),
        )
        for number in range(300)
    ]

    decisions = replay(facts, policy())

    assert replay(facts, policy()) == decisions
    assert len({decision.id for decision in decisions}) == 300
    assert {decision.verdict for decision in decisions} == {"retrain", "keep", "ask"}
    for decision in decisions:
        failed = [rule.name for rule in decision.rules if not rule.passed]
        assert (decision.verdict == "retrain") == (not failed)
        assert decision.reason.startswith({"retrain": "yes, because", "keep": "no, ", "ask": "ask"}[decision.verdict])
        assert any(character.isdigit() for character in decision.reason)
    retrainings = [decision.window.end for decision in decisions if decision.verdict == "retrain"]
    assert all(later - earlier >= 2 * WEEK for earlier, later in pairwise(retrainings))
    assert not any(d.facts.broken_columns for d in decisions if d.verdict == "retrain")


def test_the_id_is_that_of_project_window_and_version():
    """Deciding twice is one decision; half a day more or another version is another."""
    facts = week(0)
    half = replace(facts, window=Window(START, START + timedelta(hours=12)))

    ids = {decide(history([each]), policy()).id for each in (facts, replace(facts, rows=7), half, week(0, version=2))}

    assert len(ids) == 3


def test_without_a_window_there_is_nothing_to_decide():
    """The message says what to do."""
    with pytest.raises(DataError, match="flights wants at least one measured window, found none; measure one first"):
        decide(history([]), policy())


def test_an_unknown_metric_is_refused_before_it_decides_anything():
    """A direction is not guessed."""
    with pytest.raises(ProjectFileError, match="did you mean 'roc_auc'"):
        decide(history([week(0)], metric="rocauc"), policy())

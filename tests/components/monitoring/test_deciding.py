"""What follows from a window is said with numbers, and said again when history is replayed."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest

from components.errors import DataError, ProjectFileError
from components.monitoring.deciding import decide, policy_digest
from components.records.watching import Retraining, Window, WindowFacts
from components.settings.monitoring import MonitoringSettings
from tests.components.monitoring.weeks import START, WEEK, asked, drifted, history, policy, replay, retrained, week


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


def made_up(seed: int, weeks: int = 300) -> list[WindowFacts]:
    """Weeks of all kinds."""
    rng = np.random.default_rng(seed)
    return [
        week(
            number,
            version=1 + number // 40,
            rows=int(rng.choice([0, 300, 6_000], p=[0.05, 0.1, 0.85])),
            labelled_rows=int(rng.choice([0, 5_000])),
            drift_share=None if rng.random() < 0.1 else float(rng.random()),
            weighted_drift=None if rng.random() < 0.1 else float(rng.random()),
            quality=None if rng.random() < 0.3 else float(rng.uniform(0.6, 0.75)),
            expected_quality=None if rng.random() < 0.3 else float(rng.uniform(0.6, 0.75)),
            broken_columns=("visib",) if rng.random() < 0.1 else (),
            breaks=("'temp' must be at most 140, but 7 rows are not",) if rng.random() < 0.05 else (),
            label_conflicts=int(rng.choice([0, 9, 600], p=[0.8, 0.1, 0.1])),
            trained_until=START + (number // 40) * 40 * WEEK,
        )
        for number in range(weeks)
    ]


STRICT = {"max_expected_quality_loss": 0.04, "weighted_drift": 0.6, "max_age": "70d", "every": "42d"}


@pytest.mark.parametrize("trigger", [{}, STRICT], ids=["default", "every trigger"])
@pytest.mark.parametrize("seed", range(5))
def test_every_no_has_a_reason_and_replaying_gives_the_same(seed: int, trigger: dict[str, object]):
    """Over 300 made-up weeks of all kinds: broken data never teach, rest and budget are kept, and all is told."""
    facts, rules = made_up(seed), policy(trigger=trigger, retrainings_a_month=1)

    decisions = replay(facts, rules)

    assert replay(facts, rules) == decisions
    assert len({decision.id for decision in decisions}) == 300
    assert {decision.verdict for decision in decisions} == {"retrain", "keep", "ask"}
    for decision in decisions:
        failed = [rule.name for rule in decision.rules if not rule.passed]
        assert (decision.verdict == "retrain") == (not failed) == (decision.trigger is not None)
        assert decision.reason.startswith({"retrain": "yes, because", "keep": "no, ", "ask": "ask"}[decision.verdict])
        assert any(character.isdigit() for character in decision.reason)
        assert [rule.name for rule in decision.rules] == [
            "rows", "data", "breach", "windows", "cooldown", "budget", "gain",
        ]  # fmt: skip
    retrainings = [decision.window.end for decision in decisions if decision.verdict == "retrain"]
    assert all(later - earlier >= timedelta(days=30) for earlier, later in pairwise(retrainings))
    taught = [decision.facts for decision in decisions if decision.verdict == "retrain"]
    assert not any(facts.broken_columns or facts.breaks or facts.label_conflicts > 500 for facts in taught)


@pytest.mark.parametrize("seed", range(5))
def test_what_lies_before_the_last_windows_changes_nothing(seed: int):
    """Three windows are asked for: the decision is the same whatever came before them."""
    facts = made_up(seed, 60)

    for end in range(3, 60):
        assert decide(history(facts[:end]), policy()) == decide(history(facts[end - 3 : end]), policy())


def test_a_policy_that_changes_decides_anew_and_never_trains_twice_for_a_window():
    """The same window gets another id, and what it asked for already counts."""
    facts, rules = [drifted(0), drifted(1)], policy()
    first = decide(history(facts), rules)

    again = decide(history(facts, asked([first])), rules)
    stricter = decide(history(facts, asked([first])), policy(cooldown="1s", trigger={"drift_share": 0.2}))

    assert again == first
    assert again.verdict == "retrain"
    assert stricter.id != first.id
    assert stricter.policy != first.policy
    assert stricter.verdict == "keep"
    assert stricter.reason.endswith("because 2013-05-08..2013-05-15 has asked for a retraining already")


@pytest.mark.parametrize(
    "said",
    [
        {"schedule": "0 7 * * 2"},
        {"notices": {"blocks": ["slack-webhook/team"]}},
        {"sample_rows": 9_000},
        {"probation": {"length": "7d"}},
        {"retrain": {"judge_days": 3}},
        {"trigger": {"windows": 2}},
    ],
    ids=lambda said: next(iter(said)),
)
def test_what_decides_nothing_does_not_make_another_policy(said: dict[str, object]):
    """Nor does saying a default: who is told, when it is looked, and how a retraining is done."""
    assert policy_digest(MonitoringSettings.model_validate(said)) == policy_digest(MonitoringSettings())


def test_windows_that_overlap_are_not_counted_twice():
    """A fortnight that is looked at every week: the breach of one week is one breach, not two."""
    facts = [drifted(0), drifted(0.5), drifted(1)]

    alone = decide(history(facts[:2]), policy())
    apart = decide(history(facts), policy())

    assert alone.verdict == "keep"
    assert "1 of the last 3 windows breached" in alone.reason
    assert apart.verdict == "retrain"


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


def test_an_old_model_is_due_whatever_else_is_seen():
    """Age needs no second window: nothing is seen, and nothing else is told."""
    decision = decide(history([week(0, trained_until=START - 12 * WEEK)]), policy(trigger={"max_age": "90d"}))

    assert decision.verdict == "retrain"
    assert decision.trigger == "age"
    assert decision.reason == (
        "yes, because the newest row that version 1 learned from is 91 days old (limit 90 days); "
        "what is due by the clock needs no other window"
    )


def test_what_was_seen_once_is_no_reason_beside_what_is_due():
    """The clock is the reason, not the one odd week."""
    facts = [week(0), drifted(1, trained_until=START - 12 * WEEK)]

    decision = decide(history(facts), policy(trigger={"max_age": "90d"}))

    assert decision.trigger == "age"
    assert "columns drifted" not in decision.reason


@pytest.mark.parametrize(
    ("facts", "retrainings", "said"),
    [
        ([week(0), week(6)], [], "the first window is 49 days ago (2013-05-01)"),
        ([week(6, trained_until=START)], [], "the newest row that was learned from is 49 days ago (2013-05-01)"),
        ([week(6, trained_until=START)], [retrained(0)], "the last retraining is 42 days ago (2013-05-08)"),
    ],
    ids=["first window", "trained until", "last retraining"],
)
def test_a_schedule_counts_from_the_last_time_it_learned(
    facts: Sequence[WindowFacts], retrainings: list[Retraining], said: str
):
    """From the last retraining, else from the newest row learned from, else from the first window."""
    rules = policy(trigger={"every": "42d"})

    decision = decide(history(facts, retrainings), rules)

    assert decision.verdict == "retrain"
    assert decision.trigger == "schedule"
    assert f"{said}, and one is due every 42 days" in decision.reason
    assert decide(history(facts, [*retrainings, retrained(5)]), rules).verdict == "keep"


def test_what_is_due_waits_for_sound_data():
    """No schedule learns from a broken window."""
    facts = [week(0, trained_until=START - 12 * WEEK, broken_columns=("temp",))]

    decision = decide(history(facts), policy(trigger={"max_age": "90d"}))

    assert decision.verdict == "ask"

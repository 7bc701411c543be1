"""A limit is reached with numbers and beyond chance, or it is not reached."""

import pytest

from components.monitoring.breaching import breaches, faults
from components.monitoring.deciding import decide
from components.records.watching import ColumnFacts
from tests.components.monitoring.weeks import drifted, history, policy, week

ONCE = {"windows": 1, "of": 1}


def test_the_most_telling_breach_is_the_trigger():
    """Quality before drift, and both are told."""
    decision = decide(
        history([drifted(0, quality=0.6, weighted_drift=0.7)]), policy(trigger={**ONCE, "weighted_drift": 0.5})
    )

    assert decision.trigger == "quality"
    assert decision.reason == (
        "yes, because in 2013-05-01..2013-05-08 roc_auc was 0.6000, which is 0.1000 worse than 0.7000 at registration "
        "(limit 0.03) and 40% of the columns drifted (limit 30%: temp, dewp, humid, visib) and columns with 70% of the "
        "importance drifted (limit 50%: temp, dewp, humid, visib); 1 of the last 1 windows breached under version 1"
    )


@pytest.mark.parametrize(
    ("metric", "quality", "low", "high", "is_breach"),
    [
        ("roc_auc", 0.66, 0.65, 0.69, True),
        ("roc_auc", 0.66, 0.61, 0.71, False),
        ("log_loss", 0.74, 0.71, 0.77, True),
        ("log_loss", 0.74, 0.69, 0.79, False),
    ],
)
def test_a_loss_that_may_be_chance_is_no_breach(
    metric: str, quality: float, low: float, high: float, *, is_breach: bool
):
    """The interval must leave out the quality at registration; and it is told why nothing follows."""
    facts = week(0, quality=quality, quality_low=low, quality_high=high)

    found = breaches(facts, policy(), metric)
    decision = decide(history([facts], metric=metric), policy(trigger=ONCE))

    assert bool(found) == is_breach
    assert ("which may be chance" in decision.reason) != is_breach
    assert not is_breach or f"({low:.4f} to {high:.4f})" in found[0].detail


def test_expected_quality_speaks_until_labels_suffice():
    """Once enough labels have come, what was expected no longer counts."""
    rules = policy(trigger={**ONCE, "max_expected_quality_loss": 0.03})
    unlabelled = week(0, labelled_rows=20, quality=None, expected_quality=0.64, expected_low=0.62, expected_high=0.66)

    decision = decide(history([unlabelled]), rules)
    labelled = decide(history([week(0, expected_quality=0.64)]), rules)
    by_chance = breaches(
        week(0, labelled_rows=20, expected_quality=0.64, expected_low=0.5, expected_high=0.8), rules, "roc_auc"
    )

    assert (decision.verdict, decision.trigger) == ("retrain", "expected_quality")
    assert "roc_auc is expected to be 0.6400 (0.6200 to 0.6600)" in decision.reason
    assert "(limit 0.03; 20 labels have come)" in decision.reason
    assert labelled.verdict == "keep"
    assert by_chance == []


def test_a_small_share_of_labels_says_nothing_about_quality():
    """3,000 labels of 6,000 rows are many, but the slow half may be another half."""
    facts = week(0, quality=0.5, labelled_rows=3_000)

    assert breaches(facts, policy(trigger={"min_label_coverage": 0.6}), "roc_auc") == []
    assert breaches(facts, policy(trigger={"min_label_coverage": 0.5}), "roc_auc") != []


def test_a_limit_that_is_null_is_not_looked_at():
    """Nothing breaches a policy without limits, and the reason is still a sentence."""
    rules = policy(trigger={**ONCE, "drift_share": None, "max_quality_loss": None})
    facts = drifted(0, quality=0.5, expected_quality=0.4, weighted_drift=1.0)

    decision = decide(history([facts]), rules)

    assert breaches(facts, rules, "roc_auc") == []
    assert decision.reason == (
        "no, because 2013-05-01..2013-05-08 is within its limits: 40% of the columns drifted, and roc_auc was 0.5000, "
        "0.2000 worse than at registration"
    )


def test_a_failed_check_of_the_schema_asks_a_person():
    """The sentences of the checks are the reason."""
    facts = drifted(0, breaks=("column 'temp' must be at most 140, but 30 rows are not", "two", "three"))

    decision = decide(history([facts]), policy(trigger=ONCE))

    assert decision.verdict == "ask"
    assert decision.reason == (
        "ask a person, because the rows fail 3 checks of the schema: column 'temp' must be at most 140, but 30 rows "
        "are not, two and 1 more"
    )


def test_labels_that_contradict_each_other_ask_a_person():
    """A twentieth of them; a few corrections are none."""
    rules = policy(trigger=ONCE)

    assert faults(week(0, label_conflicts=249), rules.trigger) == []
    assert faults(week(0, label_conflicts=9, labelled_rows=9), rules.trigger) == []
    decision = decide(history([drifted(0, label_conflicts=250)]), rules)
    assert decision.verdict == "ask"
    assert decision.reason == (
        "ask a person, because 250 of 5,000 labelled rows have labels that contradict each other (limit 5%)"
    )


def test_a_broken_column_says_why_where_it_was_measured():
    """The measuring's own sentence."""
    column = ColumnFacts("temp", "number", broken="column 'temp' is missing in all 6,000 rows (0.5% before)")

    decision = decide(history([week(0, columns=(column,), broken_columns=("temp",))]), policy())

    assert decision.reason == (
        "ask a person, because 1 column is broken (column 'temp' is missing in all 6,000 rows (0.5% before)): temp"
    )

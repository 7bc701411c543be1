"""A retraining that there is reason for is asked for when it may be, and when it pays."""

import pytest

from components.monitoring.deciding import decide
from components.records.watching import Decision, Retraining
from tests.components.monitoring.weeks import drifted, history, policy, retrained, week

ONCE = {"windows": 1, "of": 1}
# 0.01 of the metric is worth 5 over 1,000 predictions.
VALUE = {"value": 5.0, "horizon": "28d"}


def rule(decision: Decision, name: str) -> tuple[bool, str]:
    """Whether a rule passed, and what it says."""
    return next((each.passed, each.detail) for each in decision.rules if each.name == name)


def test_a_month_has_a_budget():
    """Retrainings whose model was refused count; those for which another stood in do not."""
    rules = policy(cooldown="1s", retrainings_a_month=2, trigger=ONCE)
    past = [retrained(0, outcome="reject"), retrained(1), retrained(3, outcome="superseded"), retrained(4)]

    spent = decide(history([drifted(5)], past), rules)
    free = decide(history([drifted(6)], past), rules)

    assert spent.verdict == "keep"
    assert spent.reason.endswith("because 2 retrainings were asked for within 30 days before 2013-06-12, and 2 may be")
    assert free.verdict == "retrain"


def test_a_budget_of_none_never_trains():
    """A policy that only watches."""
    assert decide(history([drifted(0)]), policy(retrainings_a_month=0, trigger=ONCE)).verdict == "keep"


@pytest.mark.parametrize(("price", "verdict"), [(299.0, "retrain"), (301.0, "keep")])
def test_a_retraining_must_be_worth_its_price(price: float, verdict: str):
    """0.05 lost, half of it won back: 2.5 points over 4 weeks of 6,000 rows at 5 for 1,000 of them are worth 300."""
    facts = week(0, quality=0.65, training_cost=price)

    decision = decide(history([facts]), policy(gain=VALUE, trigger=ONCE))

    assert decision.verdict == verdict
    assert rule(decision, "gain")[1] == (
        f"a retraining is expected to win 0.0250 of roc_auc, worth 300 over the 24,000 predictions of 28 days, and "
        f"costs {price:g}"
    )


def test_past_retrainings_say_what_the_next_one_wins_and_costs():
    """One won back a fifth of the loss of its week, one nothing: a tenth; both cost 100."""
    lost = [week(0, quality=0.65), week(3, quality=0.65), week(6, quality=0.65, training_cost=1.0)]
    past = [retrained(0, gain=0.01, cost=90.0), retrained(3, outcome="reject", gain=-0.02, cost=110.0)]

    decision = decide(history(lost, past), policy(gain=VALUE, trigger=ONCE))

    assert decision.verdict == "keep"
    assert "is expected to win 0.0050 of roc_auc, worth 60 over" in decision.reason
    assert decision.reason.endswith("and costs 100")


def test_drift_alone_is_weighed_by_what_past_retrainings_won():
    """Without labels no loss is known."""
    facts = drifted(6, labelled_rows=0, quality=None, training_cost=100.0)
    rules = policy(gain=VALUE, trigger=ONCE)

    unknown = decide(history([facts]), rules)
    known = decide(history([facts], [Retraining("one", week(0).window, "promote", gain=0.004)]), rules)

    assert rule(unknown, "gain") == (True, "what a retraining wins is not known; it costs 100")
    assert rule(known, "gain")[0] is False
    assert "is expected to win 0.0040 of roc_auc, worth 48 over" in known.reason


@pytest.mark.parametrize(
    ("monitoring", "cost", "said"),
    [
        ({}, 5.0, "the gain is not weighed against the cost"),
        ({"gain": VALUE}, None, "what a retraining costs is not known"),
    ],
)
def test_what_is_not_known_holds_nothing_up(monitoring: dict[str, object], cost: float | None, said: str):
    """Without a value or a price nothing is weighed."""
    decision = decide(history([drifted(0, training_cost=cost)]), policy(trigger=ONCE, **monitoring))

    assert decision.verdict == "retrain"
    assert rule(decision, "gain") == (True, said)

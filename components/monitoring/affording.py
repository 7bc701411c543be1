"""Whether a retraining that there is reason for may be asked for now: rest, budget of a month, cost against gain.

Pure, as all of deciding: its times are event times.
"""

from collections.abc import Sequence
from datetime import timedelta
from statistics import fmean

from components.monitoring.breaching import days, expected_loss, quality_loss
from components.records.scores import Rule
from components.records.watching import History, Retraining, WindowFacts
from components.settings.monitoring import GainSettings, MonitoringSettings

BUDGET = timedelta(days=30)
# Outcomes of decisions that another decision's training answered: nothing was trained for them.
NOTHING_TRAINED = frozenset({"superseded"})
# The metric's step and the number of predictions that `gain.value` is the worth of.
POINT, THOUSAND = 0.01, 1_000


def cooldown(newest: WindowFacts, earlier: Sequence[Retraining], policy: MonitoringSettings) -> Rule:
    """Event time since the end of the window that last asked for a retraining; a window asks once, by any policy."""
    if not earlier:
        return Rule("cooldown", True, "there was no retraining before")
    last = max(retraining.window.end for retraining in earlier)
    if last == newest.window.end:
        return Rule("cooldown", False, f"{newest.window} has asked for a retraining already")
    rested, wanted = newest.window.end - last, policy.cooldown
    detail = f"the last retraining was asked for {days(rested)} ago ({last:%Y-%m-%d}), and it rests {days(wanted)}"
    return Rule("cooldown", rested >= wanted, detail)


def budget(newest: WindowFacts, earlier: Sequence[Retraining], policy: MonitoringSettings) -> Rule:
    """Retrainings within 30 days before the window's end, also those whose model was not taken."""
    most = policy.retrainings_a_month
    if most is None:
        return Rule("budget", True, "retrainings are not limited")
    since = newest.window.end - BUDGET
    trained = sum(one.window.end > since and one.outcome not in NOTHING_TRAINED for one in earlier)
    detail = f"{trained} retrainings were asked for within {days(BUDGET)} before {newest.window.end:%Y-%m-%d}"
    return Rule("budget", trained < most, f"{detail}, and {most} may be")


def gain(history: History, earlier: Sequence[Retraining], policy: MonitoringSettings) -> Rule:
    """What a better model is expected to win over the horizon, against what its training costs.

    Expected: the loss in the metric that was seen, times the share of it that retrainings win back, times the value of
    a point, times the predictions that come. Where no loss is known (drift alone), what past retrainings won stands for
    the first two. What is not known is not held against a retraining.
    """
    newest, settings = history.facts[-1], policy.gain
    price = _price(newest, earlier)
    if settings.value is None:
        return Rule("gain", True, "the gain is not weighed against the cost")
    if price is None:
        return Rule("gain", True, "what a retraining costs is not known")
    points = _points_won_back(history, earlier, policy)
    if points is None:
        return Rule("gain", True, f"what a retraining wins is not known; it costs {price:.4g}")
    predictions = _predictions(newest, settings)
    worth = points / POINT * settings.value * predictions / THOUSAND
    detail = (
        f"a retraining is expected to win {points:.4f} of {history.metric}, worth {worth:.4g} over the "
        f"{predictions:,.0f} predictions of {days(settings.horizon)}, and costs {price:.4g}"
    )
    return Rule("gain", worth >= price, detail)


def _price(newest: WindowFacts, earlier: Sequence[Retraining]) -> float | None:
    """The average price of past retrainings; without any, that of the version's own training."""
    paid = [one.cost for one in earlier if one.cost is not None]
    return fmean(paid) if paid else newest.training_cost


def _points_won_back(history: History, earlier: Sequence[Retraining], policy: MonitoringSettings) -> float | None:
    """Expected gain in the metric's unit, 0 or more; None if nothing is known."""
    loss = _loss(history.facts[-1], policy, history.metric)
    if loss is None:
        won = [max(one.gain, 0.0) for one in earlier if one.gain is not None]
        return fmean(won) if won else None
    return max(loss, 0.0) * _recovered(history, earlier, policy)


def _recovered(history: History, earlier: Sequence[Retraining], policy: MonitoringSettings) -> float:
    """Share of the loss that past retrainings won back, 0 to 1, where both are known; else the policy's guess."""
    measured = {facts.window: _loss(facts, policy, history.metric) for facts in history.facts}
    shares = []
    for one in earlier:
        lost = measured.get(one.window)
        if one.gain is not None and lost is not None and lost > 0:
            shares.append(min(max(one.gain / lost, 0.0), 1.0))
    return fmean(shares) if shares else policy.gain.recovered


def _loss(facts: WindowFacts, policy: MonitoringSettings, metric: str) -> float | None:
    found = quality_loss(facts, policy.trigger, metric)
    return found if found is not None else expected_loss(facts, policy.trigger, metric)


def _predictions(newest: WindowFacts, settings: GainSettings) -> float:
    """Predictions over the horizon, at the pace of the newest window."""
    length = newest.window.end - newest.window.start
    return newest.rows * (settings.horizon / length) if length else float(newest.rows)

"""Decides what follows from a window: retrain, keep, or ask a person. Pure: history and policy in, a decision out.

One of the two places where Everfit acts on its own (the other is the judge), so it can be replayed over history: it
reads no clock and no file, and all its times are event times. The rules; the first that fails gives the reason:

    rows       the newest window has enough predictions to say anything
    data       no column, schema check or set of labels is broken: a person mends them, nothing learns from them
    breach     there is a reason (`breaching`): quality, expected quality, drift; or age and schedule, by the clock
    windows    so were enough of the last windows, measured against the same version; the clock needs none
    cooldown   the last retraining is long enough ago
    budget     there were not too many within a month
    gain       it is expected to be worth more than it costs
"""

import hashlib
import json
from collections.abc import Sequence

from components.errors import DataError
from components.monitoring import affording
from components.monitoring.breaching import Breach, breaches, calm, clock_breaches, faults
from components.monitoring.quality import metric_named
from components.records.scores import Rule
from components.records.watching import Decision, DecisionVerdict, History, Retraining, Window, WindowFacts
from components.settings.monitoring import MonitoringSettings

# Of a decision's id: 16 hexadecimal digits, so that a billion decisions collide with a chance of 3 in 100.
ID_DIGITS = 16
# When it is looked, who is told and how a retraining is done does not change what is decided about a window.
DECIDES_NOTHING = {"window", "window_rows", "sample_rows", "schedule", "retrain", "probation", "notices"}


def decide(history: History, policy: MonitoringSettings) -> Decision:
    """What follows from the newest window, with every rule that was looked at; the same inputs give the same decision.

    Args:
        history: Measured windows, of which the last is decided on, and the retrainings that were asked for. Of windows
            that overlap, the newer ones count. Retrainings for later windows are not looked at, nor is the one that
            this very decision asked for when it was made before.
        policy: The project's monitoring settings.

    Returns:
        `retrain` if all rules hold; `ask` if the newest window has enough rows and broken data; else `keep`.

    Raises:
        DataError: If there is no window to decide on.
        ProjectFileError: If the project's metric is unknown.
    """
    metric_named(history.metric)
    if not history.facts:
        raise DataError(
            f"deciding about {history.project} wants at least one measured window, found none; measure one first"
        )
    newest = history.facts[-1]
    id_ = decision_id(history.project, policy_digest(policy), newest.window, newest.version)
    earlier = [one for one in history.retrainings if one.window.end <= newest.window.end and one.decision_id != id_]
    found, rules = _look(history, earlier, policy)
    verdict = _verdict(rules)
    return Decision(
        id=id_,
        project=history.project,
        window=newest.window,
        version=newest.version,
        verdict=verdict,
        reason=_reason(verdict, rules),
        rules=rules,
        facts=newest,
        policy=policy_digest(policy),
        trigger=found[0].trigger if verdict == "retrain" else None,
    )


def decision_id(project: str, policy: str, window: Window, version: int | None) -> str:
    """The idempotency key of a decision: the same for the same project, policy (digest), window and version."""
    key = f"{project}|{policy}|{window.start.isoformat()}|{window.end.isoformat()}|{version}"
    return hashlib.sha256(key.encode()).hexdigest()[:ID_DIGITS]


def policy_digest(policy: MonitoringSettings) -> str:
    """What stands for a policy: equal for policies that measure and decide alike.

    A default stands for nothing in it, so that a new setting of Everfit's leaves the digests of old policies alone.
    """
    decides = policy.model_dump(mode="json", exclude=DECIDES_NOTHING, exclude_defaults=True)
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:ID_DIGITS]


def _look(
    history: History, earlier: Sequence[Retraining], policy: MonitoringSettings
) -> tuple[list[Breach], tuple[Rule, ...]]:
    """The breaches that count, most telling first, and every rule."""
    newest, metric = history.facts[-1], history.metric
    seen = breaches(newest, policy, metric)
    due = clock_breaches(history.facts, earlier, policy.trigger)
    windows = _enough_windows(history, policy)
    if due and not windows.passed:
        # What was not seen in enough windows is no reason; what is due is one without them.
        seen, windows = [], Rule("windows", True, "what is due by the clock needs no other window")
    found = [*seen, *due]
    rules = (
        _enough_rows(newest, policy),
        _sound_data(newest, policy),
        _breached(newest, seen, due, policy=policy, metric=metric),
        windows,
        affording.cooldown(newest, earlier, policy),
        affording.budget(newest, earlier, policy),
        affording.gain(history, earlier, policy),
    )
    return found, rules


def _enough_rows(newest: WindowFacts, policy: MonitoringSettings) -> Rule:
    wanted = policy.trigger.min_rows
    detail = f"{newest.window} has {newest.rows:,} predictions, and {wanted:,} are needed to say anything"
    return Rule("rows", newest.rows >= wanted, detail)


def _sound_data(newest: WindowFacts, policy: MonitoringSettings) -> Rule:
    found = faults(newest, policy.trigger)
    return Rule("data", not found, " and ".join(found) if found else "no column is broken")


def _breached(
    newest: WindowFacts, seen: Sequence[Breach], due: Sequence[Breach], *, policy: MonitoringSettings, metric: str
) -> Rule:
    told = [f"in {newest.window} " + " and ".join(breach.detail for breach in seen)] if seen else []
    told += [breach.detail for breach in due]
    if told:
        return Rule("breach", True, " and ".join(told))
    return Rule("breach", False, f"{newest.window} is within its limits: {calm(newest, policy.trigger, metric)}")


def _enough_windows(history: History, policy: MonitoringSettings) -> Rule:
    """Windows of another version do not count: they were measured against what that version had seen."""
    trigger, version = policy.trigger, history.facts[-1].version
    counted = [facts for facts in _apart(history.facts, trigger.of) if facts.version == version]
    breached = sum(bool(breaches(facts, policy, history.metric)) for facts in counted)
    detail = f"{breached} of the last {trigger.of} windows breached under version {version}"
    if len(counted) < trigger.of:
        detail += f", which has answered {len(counted)} of them"
    passed = breached >= trigger.windows
    return Rule("windows", passed, detail if passed else f"{detail}; {trigger.windows} are needed")


def _apart(facts: Sequence[WindowFacts], most: int) -> list[WindowFacts]:
    """The newest windows, newest first, that share no stretch of time: the same rows are not counted twice."""
    found = [facts[-1]]
    for earlier in reversed(facts[:-1]):
        if len(found) == most:
            break
        if earlier.window.end <= found[-1].window.start:
            found.append(earlier)
    return found


def _verdict(rules: Sequence[Rule]) -> DecisionVerdict:
    failed = [rule.name for rule in rules if not rule.passed]
    if not failed:
        return "retrain"
    return "ask" if failed[0] == "data" else "keep"


def _reason(verdict: DecisionVerdict, rules: Sequence[Rule]) -> str:
    """One sentence with the numbers: of the first rule that failed, or of the breach."""
    details = {rule.name: rule.detail for rule in rules}
    if verdict == "retrain":
        return f"yes, because {details['breach']}; {details['windows']}"
    first = next(rule for rule in rules if not rule.passed)
    if verdict == "ask":
        return f"ask a person, because {first.detail}"
    if first.name in ("windows", "cooldown", "budget", "gain"):
        return f"no, although {details['breach']}, because {first.detail}"
    return f"no, because {first.detail}"

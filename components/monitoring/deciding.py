"""Decides what follows from a window: retrain, keep, or ask a person. Pure: facts and settings in, a decision out.

One of the two places where Everfit acts on its own (the other is the judge), so it can be replayed over history: it
reads no clock and no file, and all its times are event times. The rules; the first that fails gives the reason:

    rows       the newest window has enough predictions to say anything
    data       no column is broken: broken data are mended by a person, never learned from
    breach     the newest window is breached: too many columns drifted, or the quality fell too far
    windows    so were enough of the last windows, measured against the same version
    cooldown   the last retraining is long enough ago
"""

import hashlib
from collections.abc import Sequence
from datetime import timedelta

from components.errors import DataError
from components.monitoring.quality import loss_of
from components.records.scores import Rule
from components.records.watching import Decision, DecisionVerdict, Window, WindowFacts
from components.settings.project import Project

# Of a decision's id: 16 hexadecimal digits, so that a billion decisions collide with a chance of 3 in 100.
ID_DIGITS = 16


def decide(project: Project, facts: Sequence[WindowFacts], previous: Sequence[Decision]) -> Decision:
    """What follows from the newest window, with every rule that was looked at.

    Args:
        project: Whose rules count.
        facts: Measured windows, oldest first; the last one is decided on.
        previous: Earlier decisions in any order; those on this window or later ones are not looked at.

    Returns:
        `retrain` if all rules hold; `ask` if the newest window has enough rows and broken columns; else `keep`.

    Raises:
        DataError: If there is no window to decide on.
        ProjectFileError: If the project's metric is unknown.
    """
    if not facts:
        raise DataError(
            f"deciding about {project.name} wants at least one measured window, found none; measure one first"
        )
    newest = facts[-1]
    rules = (
        _enough_rows(project, newest),
        _sound_data(newest),
        _newest_breached(project, newest),
        _enough_windows(project, facts),
        _rested(project, newest, previous),
    )
    verdict = _verdict(rules)
    return Decision(
        id=decision_id(project.name, newest.window, newest.version),
        project=project.name,
        window=newest.window,
        version=newest.version,
        verdict=verdict,
        reason=_reason(verdict, rules),
        rules=rules,
        facts=newest,
    )


def decision_id(project: str, window: Window, version: int | None) -> str:
    """The idempotency key of a decision: the same for the same project, window and version."""
    key = f"{project}|{window.start.isoformat()}|{window.end.isoformat()}|{version}"
    return hashlib.sha256(key.encode()).hexdigest()[:ID_DIGITS]


def breaches(project: Project, facts: WindowFacts) -> list[str]:
    """Why a window is breached, each with its numbers; empty if it is not, or says nothing.

    A window with too few rows or with broken columns is never breached: what moved there is the damage.
    """
    trigger = project.monitoring.trigger
    if facts.rows < trigger.min_rows or facts.broken_columns:
        return []
    found = []
    limit = trigger.drift_share
    if limit is not None and facts.drift_share is not None and facts.drift_share >= limit:
        found.append(
            f"{facts.drift_share:.0%} of the columns drifted (limit {limit:.0%}: {_listed(facts.drifted_columns)})"
        )
    loss = quality_loss(project, facts)
    most = trigger.max_quality_loss
    if loss is not None and most is not None and loss >= most:
        found.append(
            f"{project.evaluation.metric} was {facts.quality:.4f}, which is {loss:.4f} worse than "
            f"{facts.reference_quality:.4f} at registration (limit {most:g})"
        )
    return found


def quality_loss(project: Project, facts: WindowFacts) -> float | None:
    """How much worse the window was than the version at registration; None if one is unknown or too few labels came."""
    if facts.quality is None or facts.reference_quality is None:
        return None
    if facts.labelled_rows < project.monitoring.trigger.min_labelled_rows:
        return None
    return loss_of(project.evaluation.metric, facts.quality, facts.reference_quality)


def _enough_rows(project: Project, newest: WindowFacts) -> Rule:
    wanted = project.monitoring.trigger.min_rows
    detail = f"{newest.window} has {newest.rows:,} predictions, and {wanted:,} are needed to say anything"
    return Rule("rows", newest.rows >= wanted, detail)


def _sound_data(newest: WindowFacts) -> Rule:
    broken = newest.broken_columns
    if not broken:
        return Rule("data", True, "no column is broken")
    many = "column is" if len(broken) == 1 else "columns are"
    return Rule(
        "data", False, f"{len(broken)} {many} empty or missing far more often than in training: {_listed(broken)}"
    )


def _newest_breached(project: Project, newest: WindowFacts) -> Rule:
    found = breaches(project, newest)
    if found:
        return Rule("breach", True, f"in {newest.window} " + " and ".join(found))
    return Rule("breach", False, f"{newest.window} is within its limits: {_calm(project, newest)}")


def _enough_windows(project: Project, facts: Sequence[WindowFacts]) -> Rule:
    """Windows of another version do not count: they were measured against what that version had seen."""
    trigger = project.monitoring.trigger
    last = facts[-trigger.of :]
    counted = [window for window in last if window.version == facts[-1].version]
    breached = sum(bool(breaches(project, window)) for window in counted)
    detail = f"{breached} of the last {trigger.of} windows breached under version {facts[-1].version}"
    if len(counted) < trigger.of:
        detail += f", which has answered {len(counted)} of them"
    return Rule("windows", breached >= trigger.windows, f"{detail}; {trigger.windows} are needed")


def _rested(project: Project, newest: WindowFacts, previous: Sequence[Decision]) -> Rule:
    """Event time since the end of the window that last led to a retraining."""
    ends = [
        decision.window.end
        for decision in previous
        if decision.verdict == "retrain" and decision.window.end < newest.window.end
    ]
    if not ends:
        return Rule("cooldown", True, "there was no retraining before")
    rested, wanted = newest.window.end - max(ends), project.monitoring.cooldown
    detail = (
        f"the last retraining was asked for {_days(rested)} ago ({max(ends):%Y-%m-%d}), and it rests {_days(wanted)}"
    )
    return Rule("cooldown", rested >= wanted, detail)


def _verdict(rules: Sequence[Rule]) -> DecisionVerdict:
    failed = [rule.name for rule in rules if not rule.passed]
    if not failed:
        return "retrain"
    return "ask" if failed[0] == "data" else "keep"


def _reason(verdict: DecisionVerdict, rules: Sequence[Rule]) -> str:
    """One sentence with the numbers: of the first rule that failed, or of the breach."""
    details = {rule.name: rule.detail for rule in rules}
    if verdict == "retrain":
        return f"yes, because {details['breach']}; {details['windows'].partition(';')[0]}"
    first = next(rule for rule in rules if not rule.passed)
    if verdict == "ask":
        return f"ask a person, because {first.detail}"
    if first.name in ("windows", "cooldown"):
        return f"no, although {details['breach']}, because {first.detail}"
    return f"no, because {first.detail}"


def _calm(project: Project, newest: WindowFacts) -> str:
    """What was measured in a window that is not breached."""
    trigger, metric = project.monitoring.trigger, project.evaluation.metric
    drift = "drift is not known"
    if newest.drift_share is not None:
        drift = f"{newest.drift_share:.0%} of the columns drifted (limit {trigger.drift_share:.0%})"
    loss = quality_loss(project, newest)
    if loss is None:
        return f"{drift}, and {metric} is not known yet ({newest.labelled_rows:,} labels)"
    worse = f"{loss:.4f} worse" if loss > 0 else f"{abs(loss):.4f} better"
    limit = f"limit {trigger.max_quality_loss:g}"
    return f"{drift}, and {metric} was {newest.quality:.4f}, {worse} than at registration ({limit})"


def _listed(names: Sequence[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _days(time: timedelta) -> str:
    days = time / timedelta(days=1)
    return f"{days:.0f} days" if days >= 2 else f"{time / timedelta(hours=1):.0f} hours"

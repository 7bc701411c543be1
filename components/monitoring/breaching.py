"""What makes a window a breach of the policy, each with its numbers: quality, expected quality, drift, age, schedule.

Pure, as all of deciding. A limit that is null is not looked at, and what was not measured breaches nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from components.monitoring.quality import loss_of, metric_named
from components.records.watching import Retraining, TriggerName, WindowFacts
from components.settings.monitoring import MonitoringSettings, TriggerSettings

# Fewer labels than this that contradict each other are slips and corrections, not a broken source.
FEW_CONFLICTS = 10


@dataclass(frozen=True, slots=True)
class Breach:
    """One limit that was reached.

    Attributes:
        trigger: Which one.
        detail: What was found and what is allowed, as half a sentence.
    """

    trigger: TriggerName
    detail: str


def breaches(facts: WindowFacts, policy: MonitoringSettings, metric: str) -> list[Breach]:
    """Why a window is breached, most telling first; empty if it is not, or says nothing.

    A window with too few rows or with broken data is never breached: what moved there is the damage.

    Raises:
        ProjectFileError: If the metric is unknown.
    """
    if facts.rows < policy.trigger.min_rows or is_broken(facts, policy.trigger):
        return []
    found = (
        _quality(facts, policy.trigger, metric),
        _expected_quality(facts, policy.trigger, metric),
        _drift(facts, policy.trigger),
        _weighted_drift(facts, policy.trigger),
    )
    return [breach for breach in found if breach is not None]


def clock_breaches(
    facts: Sequence[WindowFacts], retrainings: Sequence[Retraining], trigger: TriggerSettings
) -> list[Breach]:
    """What is due by event time alone, and need not be seen in several windows.

    Args:
        facts: Measured windows, oldest first.
        retrainings: Those that were asked for before the newest window's end.
        trigger: The limits.
    """
    newest, found = facts[-1], []
    if trigger.max_age is not None and newest.trained_until is not None:
        age = newest.window.end - newest.trained_until
        if age >= trigger.max_age:
            detail = f"the newest row that version {newest.version} learned from is {days(age)} old"
            found.append(Breach("age", f"{detail} (limit {days(trigger.max_age)})"))
    if trigger.every is not None:
        since, what = _last_learned(facts, retrainings)
        if newest.window.end - since >= trigger.every:
            detail = f"{what} is {days(newest.window.end - since)} ago ({since:%Y-%m-%d})"
            found.append(Breach("schedule", f"{detail}, and one is due every {days(trigger.every)}"))
    return found


def faults(facts: WindowFacts, trigger: TriggerSettings) -> list[str]:
    """What a person must mend before anything is learned from the window, each with its numbers."""
    found = []
    if broken := facts.broken_columns:
        many = "column is" if len(broken) == 1 else "columns are"
        found.append(f"{len(broken)} {many} {_why_broken(facts)}: {listed(broken)}")
    if facts.breaks:
        found.append(f"the rows fail {_counted(len(facts.breaks), 'check')} of the schema: {listed(facts.breaks, 2)}")
    if _conflicts_abound(facts, trigger):
        found.append(
            f"{facts.label_conflicts:,} of {facts.labelled_rows:,} labelled rows have labels that contradict each "
            f"other (limit {trigger.max_conflict_share:.0%})"
        )
    return found


def is_broken(facts: WindowFacts, trigger: TriggerSettings) -> bool:
    """Whether a person must look at the window's data."""
    return bool(facts.broken_columns or facts.breaks) or _conflicts_abound(facts, trigger)


def labels_suffice(facts: WindowFacts, trigger: TriggerSettings) -> bool:
    """Whether enough labels have come, in number and as a share of the rows, to say something about quality."""
    coverage = facts.labelled_rows / facts.rows if facts.rows else 0.0
    return facts.labelled_rows >= trigger.min_labelled_rows and coverage >= trigger.min_label_coverage


def quality_loss(facts: WindowFacts, trigger: TriggerSettings, metric: str) -> float | None:
    """How much worse the window was than the version at registration; None if one is unknown or too few labels came."""
    if facts.quality is None or facts.reference_quality is None or not labels_suffice(facts, trigger):
        return None
    return loss_of(metric, facts.quality, facts.reference_quality)


def expected_loss(facts: WindowFacts, trigger: TriggerSettings, metric: str) -> float | None:
    """How much worse the window is expected to be; None if that is unknown, or labels suffice to know better."""
    if facts.expected_quality is None or facts.reference_quality is None or labels_suffice(facts, trigger):
        return None
    return loss_of(metric, facts.expected_quality, facts.reference_quality)


def calm(facts: WindowFacts, trigger: TriggerSettings, metric: str) -> str:
    """What was measured in a window that is not breached."""
    drift = "drift is not known"
    if facts.drift_share is not None:
        limit = f" (limit {trigger.drift_share:.0%})" if trigger.drift_share is not None else ""
        drift = f"{facts.drift_share:.0%} of the columns drifted{limit}"
    loss = quality_loss(facts, trigger, metric)
    if loss is None:
        expected = f", expected to be {facts.expected_quality:.4f}" if facts.expected_quality is not None else ""
        return f"{drift}, and {metric} is not known yet ({facts.labelled_rows:,} labels){expected}"
    worse = f"{loss:.4f} worse" if loss > 0 else f"{abs(loss):.4f} better"
    limit = f" (limit {trigger.max_quality_loss:g})" if trigger.max_quality_loss is not None else ""
    chance = (
        ", which may be chance" if trigger.max_quality_loss is not None and loss >= trigger.max_quality_loss else ""
    )
    return f"{drift}, and {metric} was {facts.quality:.4f}, {worse} than at registration{limit}{chance}"


def days(time: timedelta) -> str:
    """A length of time as a person says it: in days, or in hours below two days."""
    whole = time / timedelta(days=1)
    return f"{whole:.0f} days" if whole >= 2 else f"{time / timedelta(hours=1):.0f} hours"


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _quality(facts: WindowFacts, trigger: TriggerSettings, metric: str) -> Breach | None:
    loss, most = quality_loss(facts, trigger, metric), trigger.max_quality_loss
    if loss is None or most is None or loss < most:
        return None
    if _may_be_chance(facts.quality_low, facts.quality_high, facts.reference_quality, metric):
        return None
    return Breach(
        "quality",
        f"{metric} was {facts.quality:.4f}{_between(facts.quality_low, facts.quality_high)}, which is {loss:.4f} worse "
        f"than {facts.reference_quality:.4f} at registration (limit {most:g})",
    )


def _expected_quality(facts: WindowFacts, trigger: TriggerSettings, metric: str) -> Breach | None:
    loss, most = expected_loss(facts, trigger, metric), trigger.max_expected_quality_loss
    if loss is None or most is None or loss < most:
        return None
    if _may_be_chance(facts.expected_low, facts.expected_high, facts.reference_quality, metric):
        return None
    return Breach(
        "expected_quality",
        f"{metric} is expected to be {facts.expected_quality:.4f}{_between(facts.expected_low, facts.expected_high)}, "
        f"which is {loss:.4f} worse than {facts.reference_quality:.4f} at registration (limit {most:g}; "
        f"{facts.labelled_rows:,} labels have come)",
    )


def _drift(facts: WindowFacts, trigger: TriggerSettings) -> Breach | None:
    limit, share = trigger.drift_share, facts.drift_share
    if limit is None or share is None or share < limit:
        return None
    detail = f"{share:.0%} of the columns drifted (limit {limit:.0%}: {listed(facts.drifted_columns)})"
    return Breach("drift", detail)


def _weighted_drift(facts: WindowFacts, trigger: TriggerSettings) -> Breach | None:
    limit, share = trigger.weighted_drift, facts.weighted_drift
    if limit is None or share is None or share < limit:
        return None
    detail = f"columns with {share:.0%} of the importance drifted (limit {limit:.0%}: {listed(facts.drifted_columns)})"
    return Breach("weighted_drift", detail)


def _may_be_chance(low: float | None, high: float | None, reference: float | None, metric: str) -> bool:
    """Whether the interval reaches the reference; facts without one (from before there were any) are believed."""
    if low is None or high is None or reference is None:
        return False
    return low <= reference if metric_named(metric).lower_is_better else high >= reference


def _between(low: float | None, high: float | None) -> str:
    return f" ({low:.4f} to {high:.4f})" if low is not None and high is not None else ""


def _conflicts_abound(facts: WindowFacts, trigger: TriggerSettings) -> bool:
    most = trigger.max_conflict_share * facts.labelled_rows
    return facts.label_conflicts >= FEW_CONFLICTS and facts.label_conflicts >= most


def _why_broken(facts: WindowFacts) -> str:
    """What is wrong with the broken columns: in the measuring's own words where there is but one."""
    if any(column.broken for column in facts.columns):
        reasons = [column.broken for column in facts.columns if column.broken]
        return f"broken ({listed(reasons, 2)})"
    return "empty or missing far more often than in training"


def _last_learned(facts: Sequence[WindowFacts], retrainings: Sequence[Retraining]) -> tuple[datetime, str]:
    """The event time since when the schedule counts, and what happened then."""
    if retrainings:
        return max(retraining.window.end for retraining in retrainings), "the last retraining"
    if facts[-1].trained_until is not None:
        return facts[-1].trained_until, "the newest row that was learned from"
    return facts[0].window.start, "the first window"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

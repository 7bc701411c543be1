"""Was it right to make this version champion? A pure function of what it and the one before answered to the same rows.

    same_champion   the champion is still the one whose probation this is                       else over
    quality         on live labels it is not worse than the one before by more than is allowed,
                    beyond doubt; asked from `min_labelled_rows` labels on                      else rolled back
    time            the probation has lasted `length`                                           else it goes on

It is asked every few minutes for days, with more labels each time, so what rolls back must be sure at all of those
looks together: of equal models fewer than 1 in 100 are rolled back in 300 looks, while labels grow tenfold
(`test_probation` simulates them). Labels that do not come roll nothing back: the champion was let through by a judge,
and is kept when its time is over, with a sentence that says how little was known.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from components.evaluation.comparing import Comparison
from components.evaluation.findings import Finding, checked, held, unsettled
from components.records.models import Challenger
from components.records.rollouts import Step
from components.settings.monitoring import ProbationSettings

# Of the interval at each look. With 99.5 %, which a rollout has besides its margin, 450 of 20,000 equal models came
# back in 300 looks, with this 26.
SURE_AT_EVERY_LOOK = 0.9998


@dataclass(frozen=True, slots=True)
class ProbationEvidence:
    """All that `probation` may look at.

    Attributes:
        champion: Number of the version that is champion now.
        labelled_rows: Rows that both answered since the probation began, and whose labels have come.
        quality: The champion (`candidate`) against the one before (`other`) on these rows, with an interval of
            `SURE_AT_EVERY_LOOK`; None with fewer than 100.
        refused: Why an endpoint did not take the version before as a shadow; empty if none refused.
    """

    champion: int
    labelled_rows: int
    quality: Comparison | None = None
    refused: str = ""


def probation(shadow: Challenger, seen: ProbationEvidence, settings: ProbationSettings, now: datetime) -> Step:
    """What becomes of the champion, with every rule that was looked at; the same inputs give the same step.

    Args:
        shadow: The version before, which answers the same rows unseen, and the champion whose probation this is.
        seen: What both answered.
        settings: How long, from how many labels on, and how much worse is too much.
        now: The time (aware).
    """
    findings = [_same_champion(shadow, seen), _quality(shadow, seen, settings), _time(shadow, settings, now)]
    same, quality, time = findings
    rules = tuple(one.rule for one in findings)
    if not same.rule.passed:
        return Step("abort", same.rule.detail, shadow, now, rules)
    if quality.rejects:
        return Step("roll_back", quality.rule.detail, shadow, now, rules)
    if time.rule.passed:
        return Step("keep", f"{quality.rule.detail}; {time.rule.detail}, so it stays", shadow, now, rules)
    return Step("hold", f"{quality.rule.detail}; {time.rule.detail}", shadow, now, rules)


def _same_champion(shadow: Challenger, seen: ProbationEvidence) -> Finding:
    detail = f"the probation is of version {shadow.champion}, and the champion is version {seen.champion}"
    return checked("same_champion", shadow.champion == seen.champion, detail)


def _quality(shadow: Challenger, seen: ProbationEvidence, settings: ProbationSettings) -> Finding:
    most, fewest, found = settings.max_quality_loss, settings.min_labelled_rows, seen.quality
    by = f" by more than {most:.4g}" if most else ""
    wanted = f"version {shadow.champion} may not be worse than version {shadow.version.version}{by}, beyond doubt"
    if seen.labelled_rows < fewest or found is None:
        came = f"{wanted}; not enough labels came to tell: {seen.labelled_rows:,} of {fewest:,}"
        return unsettled("quality", came + (f" ({seen.refused})" if seen.refused else ""))
    detail = f"{wanted}; on {found.rows:,} labelled rows {found.candidate:.4g} against {found.other:.4g}, {found}"
    return checked("quality", not (found.is_measured and found.high < -most), detail)


def _time(shadow: Challenger, settings: ProbationSettings, now: datetime) -> Finding:
    if settings.length is None:
        return held("time", "the project file asks for no probation any more")
    detail = f"the probation is to last {_length(settings.length)}, and has lasted {_length(now - shadow.since)}"
    return held("time", detail) if now - shadow.since >= settings.length else unsettled("time", detail)


def _length(time: timedelta) -> str:
    seconds = round(time.total_seconds())
    if seconds >= 86_400:
        return f"{seconds / 86_400:.3g} days"
    return f"{seconds / 3_600:.3g} hours" if seconds >= 3_600 else f"{seconds:,} s"

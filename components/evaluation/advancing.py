"""What becomes of a challenger? A pure function of what was seen of it beside the champion.

    same_champion   it runs against the champion that it was judged against                     else abort
    taken           the endpoint took it; one that refused it for a whole step never will       else abort, before: hold
    errors          of its requests no larger share failed than is allowed                      else abort beyond doubt
    latency         its p99 is at most so many times the champion's                             else abort beyond doubt
    disagreement    it answers no larger share of rows otherwise than is allowed                else abort beyond doubt
    quality         on live labels it is not worse beyond doubt by more than is allowed         else abort
    labels          so many of its rows have labels, where that is asked for                    else hold
    rows            it answered enough rows in this step                                        else hold
    time            the step has lasted long enough                                             else hold

A limit that is exceeded, but not beyond doubt, holds; so does one whose fact is missing. Only if every rule holds does
the challenger take the next step, or become champion after the last; a shadow has one step. Labels that have not come
hold nothing up by themselves: they may be weeks late.

It is asked every few minutes, so what ends a rollout must be sure at hundreds of looks: of equal models on 4,000 rows a
step, fewer than 1 in 100 rollouts are aborted (`test_advancing` simulates them).
"""

import math
from dataclasses import replace
from datetime import datetime

from components.evaluation.findings import Finding, checked, held, unsettled
from components.evaluation.rivals import SURE, Doubtful, Evidence
from components.records.models import Challenger
from components.records.rollouts import Step, StepOutcome
from components.settings.serving import RolloutSettings

# Above this many failures the exact sum is no better than the normal curve.
MOST_SUMMED = 1_000


def advance(challenger: Challenger, evidence: Evidence, settings: RolloutSettings, now: datetime) -> Step:
    """What follows for the challenger, with every rule that was looked at; the same inputs give the same step.

    Args:
        challenger: The version, and the step it is at.
        evidence: What was seen of it.
        settings: Steps and limits.
        now: The time (aware); the next step begins then.
    """
    findings = [
        _same_champion(challenger, evidence),
        _taken(challenger, evidence, settings, now),
        _errors(evidence, settings),
        _latency(evidence, settings),
        _disagreement(challenger, evidence, settings),
        _quality(evidence, settings),
        _labels(evidence, settings),
        _rows(evidence, settings),
        _time(challenger, settings, now),
    ]
    failed = sorted((one for one in findings if not one.rule.passed), key=lambda one: not one.rejects)
    following = _following(challenger, settings, now) if not failed else None
    outcome = _outcome(failed, following)
    reason = failed[0].rule.detail if failed else _reached(challenger, evidence, following)
    return Step(outcome, reason, challenger, now, tuple(one.rule for one in findings), following)


def _outcome(failed: list[Finding], following: Challenger | None) -> StepOutcome:
    if failed:
        return "abort" if failed[0].rejects else "hold"
    return "next" if following else "promote"


def _following(challenger: Challenger, settings: RolloutSettings, now: datetime) -> Challenger | None:
    """The next step whose share is larger than the present one; None after the last, and for a shadow."""
    if challenger.variant == "shadow":
        return None
    larger = [share for share in settings.steps if share > challenger.share]
    return replace(challenger, share=larger[0], step=challenger.step + 1, since=now) if larger else None


def _reached(challenger: Challenger, evidence: Evidence, following: Challenger | None) -> str:
    quality = f"; {evidence.quality}" if evidence.quality is not None else ""
    then = f"its share becomes {following.share:.3g}" if following else "it becomes champion"
    where = f"as {challenger.variant} over {evidence.rows:,} rows of step {challenger.step}"
    return f"every limit held {where}{quality}; {then}"


def _same_champion(challenger: Challenger, evidence: Evidence) -> Finding:
    wanted = challenger.champion
    if wanted is None:
        return held(
            "same_champion", f"it was judged against no champion in particular; that is version {evidence.champion}"
        )
    detail = (
        f"the champion must still be version {wanted}, which it was judged against, and is version {evidence.champion}"
    )
    return checked("same_champion", evidence.champion == wanted, detail)


def _taken(challenger: Challenger, evidence: Evidence, settings: RolloutSettings, now: datetime) -> Finding:
    if not evidence.refused or evidence.rows:
        return held("taken", "no endpoint refused to take it")
    detail = f"the endpoint must take it, but did not: {evidence.refused}"
    return checked("taken", False, detail) if now - challenger.since >= settings.step else unsettled("taken", detail)


def _errors(evidence: Evidence, settings: RolloutSettings) -> Finding:
    limit, asked, failed = settings.max_error_share, evidence.asked, evidence.failed
    wanted = f"at most {limit:.4g} of its requests may fail"
    if asked is None or failed is None:
        return unsettled("errors", f"{wanted}, but the endpoint does not say how many did")
    detail = f"{wanted}, and {failed:,} of {asked:,} did"
    if failed <= limit * asked:
        return held("errors", detail)
    if _chance_of(failed, asked, limit) < 1 - SURE:
        return checked("errors", False, detail)
    return unsettled("errors", f"{detail}, which may be chance")


def _latency(evidence: Evidence, settings: RolloutSettings) -> Finding:
    ours, theirs, limit = evidence.p99_ms, evidence.champion_p99_ms, settings.max_latency_ratio
    wanted = f"its p99 may be at most {limit:.4g} times the champion's"
    if ours is None or theirs is None:
        return unsettled("latency", f"{wanted}, but there are too few requests to tell")
    ratio = ours.value / theirs.value if theirs.value else math.inf
    detail = f"{wanted}, and is {ratio:.2f} times it ({ours.value:.2f} ms, {theirs.value:.2f} ms)"
    if ratio <= limit:
        return held("latency", detail)
    if ours.low > limit * theirs.high:
        return checked("latency", False, detail)
    return unsettled("latency", f"{detail}, which may be chance")


def _disagreement(challenger: Challenger, evidence: Evidence, settings: RolloutSettings) -> Finding:
    found, limit = evidence.disagreement, settings.max_disagreement
    wanted = f"it may answer at most {limit:.4g} of the rows otherwise than the champion"
    if found is None:
        return unsettled("disagreement", f"{wanted}, but there are no rows to compare")
    at_least = "" if challenger.variant == "shadow" else "at least "
    detail = f"{wanted}, and answers {at_least}{found.value:.3f} of them so"
    if found.value <= limit:
        return held("disagreement", detail)
    return (
        checked("disagreement", False, detail)
        if found.low > limit
        else unsettled("disagreement", _chance(detail, found))
    )


def _quality(evidence: Evidence, settings: RolloutSettings) -> Finding:
    found, most = evidence.quality, settings.max_quality_loss
    wanted = f"on live labels it may not be worse by more than {most:.4g} beyond doubt"
    if found is None:
        return held("quality", f"{wanted}, and too few labels have come to tell")
    detail = f"{wanted}; on {found.rows:,} labelled rows {found.candidate:.4g} against {found.other:.4g}, {found}"
    return checked("quality", not (found.is_measured and found.high < -most), detail)


def _labels(evidence: Evidence, settings: RolloutSettings) -> Finding:
    wanted = settings.min_labelled_rows
    if not wanted:
        return held("labels", "no labels are waited for")
    found = evidence.labelled_rows
    detail = f"at least {wanted:,} of its rows must have labels, and {found:,} have"
    return held("labels", detail) if found >= wanted else unsettled("labels", detail)


def _rows(evidence: Evidence, settings: RolloutSettings) -> Finding:
    detail = f"it must answer at least {settings.min_rows:,} rows in a step, and answered {evidence.rows:,}"
    return held("rows", detail) if evidence.rows >= settings.min_rows else unsettled("rows", detail)


def _time(challenger: Challenger, settings: RolloutSettings, now: datetime) -> Finding:
    wanted, found = (round(length.total_seconds()) for length in (settings.step, now - challenger.since))
    detail = f"a step must last at least {wanted:,} s, and has lasted {found:,} s"
    return held("time", detail) if now - challenger.since >= settings.step else unsettled("time", detail)


def _chance(detail: str, found: Doubtful) -> str:
    return f"{detail} ({found.low:.3f} to {found.high:.3f}), which may be chance"


def _chance_of(failed: int, asked: int, share: float) -> float:
    """The chance of at least so many failures if each request failed with this share (Poisson; few are rare)."""
    expected = share * asked
    if failed > MOST_SUMMED:
        return math.erfc((failed - expected) / math.sqrt(2 * max(expected, 1.0))) / 2
    if not expected:
        return 0.0
    fewer = (math.exp(count * math.log(expected) - expected - math.lgamma(count + 1)) for count in range(failed))
    return max(0.0, 1 - math.fsum(fewer))

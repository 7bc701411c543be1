"""May the candidate replace the champion? A pure, seeded function of what both answered on the same rows.

The gate is closed by default. A candidate is promoted only if every rule holds:

    candidate_finite     it gave a finite answer to every row                                   else reject
    same_rows            both sides answered the recent rows and the holdout themselves         else inconclusive
    enough_rows          at least `min_rows` labelled rows                                      else inconclusive
    rows_apart           it learned from no row that it was chosen or is judged on              else reject
    candidate_measured   the metric is defined for it on these rows                             else inconclusive
    beats                it is better than a simple model: it has learned something             else reject
    minimum              it is at least as good as `minimum`, where one is set                  else reject
    groups               declared groups are about equally well served, where that is set       else reject
    calibration          its probabilities mean what they say, where that is set                else reject
    champion_measured    the metric is defined for the champion on these rows                   else inconclusive
    superiority          the interval of the paired gain lies above 0: a tie is not a win       else see below
    holdout              on the holdout the interval lies above minus the margin                else see below
    slices               no declared slice lies below minus the margin, beyond doubt            else reject
    behaviours           it behaves as the project file declares                                else reject
    latency, size        it is within the limits of inference, where they are set               else reject

An interval that lies wholly below its threshold rejects; one that holds the threshold is inconclusive, and the verdict
says how many more rows would settle it. `non_inferiority` takes the place of `superiority` where the project file asks
for it, with minus the margin as threshold. A limit that is set while its fact is missing is inconclusive, too. Rules
that look at values are asked only if the first four hold.

With 95 % confidence a candidate of the champion's own quality is promoted in 2.5 % of contests; the other rules can
only lower that. Running the graphs is the business of `contest`; this module reads no file.
"""

import math
from dataclasses import replace

from components.evaluation import gate_rules, paired_rules
from components.evaluation.comparing import Comparison, compare, measured
from components.evaluation.evidence import Answered, JudgedRows, LabelledRows
from components.evaluation.findings import Finding, checked, unsettled
from components.evaluation.metrics import Metric, metric_named
from components.records.scores import Outcome, Rule, Verdict
from components.settings.evaluation import EvaluationSettings

# Rules about the two models as a whole: the verdict's sentence tells both values.
CONTEST_RULES = {"superiority", "non_inferiority"}
# Rules found after the judge whose failure says nothing bad of the candidate.
ASKING_RULES = {"approval", "same_champion"}


def judge(candidate: Answered, champion: Answered | None, rows: JudgedRows, settings: EvaluationSettings) -> Verdict:
    """The verdict on the candidate, with every rule that was looked at; the same inputs give the same verdict.

    Args:
        candidate: The candidate's answers, and what was measured of it.
        champion: The champion's answers to the same rows; None while there is no champion.
        rows: What was true, and which rows belong together.
        settings: The metric, and what is asked of a candidate.

    Raises:
        ProjectFileError: If the project file names a metric that does not exist.
    """
    metric = metric_named(settings.metric)
    findings = [
        gate_rules.candidate_finite(candidate),
        gate_rules.same_rows(candidate, champion, rows),
        gate_rules.enough_rows(rows, settings),
        gate_rules.rows_apart(rows),
    ]
    found = _alone(metric, candidate, rows)
    if all(finding.rule.passed for finding in findings):
        if champion is not None:
            answers = candidate.recent.answers, champion.recent.answers
            found = compare(metric, rows.recent.truth, *answers, settings)
        findings += _on_values(metric, found, candidate, champion, rows, settings)
    findings += [
        gate_rules.behaviours(candidate, settings),
        gate_rules.latency(candidate, settings),
        gate_rules.size(candidate, settings),
    ]
    return _verdict(metric, found, findings, rows.recent, has_champion=champion is not None)


def unanswered(side: str, reason: str, settings: EvaluationSettings, rows: LabelledRows) -> Verdict:
    """The verdict when a side gave no answers: a broken candidate is rejected, a broken champion settles nothing."""
    name, detail = f"{side}_answers", f"the {side} must answer the rows it is judged on: {reason}"
    finding = checked(name, False, detail) if side == "candidate" else unsettled(name, detail)
    metric = metric_named(settings.metric)
    return _verdict(metric, _nothing(metric, rows.rows), [finding], rows, has_champion=False)


def with_rule(verdict: Verdict, rule: Rule) -> Verdict:
    """The verdict with a rule that was found after it, such as `sandbox` or `approval`; a failed one ends a promotion.

    Without approval, or with another champion than the one it was judged against, the champion stays and nothing is
    said against the candidate: the outcome is `inconclusive`. Any other rule that fails is a `reject` with its reason.
    """
    rules = (*verdict.rules, rule)
    if rule.passed or not verdict.promote:
        return replace(verdict, rules=rules)
    outcome: Outcome = "inconclusive" if rule.name in ASKING_RULES else "reject"
    return replace(verdict, outcome=outcome, reason=f"{rule.detail}; {_end(outcome)}", rules=rules)


def gain_of(verdict: Verdict) -> float | None:
    """How much better the candidate was than the champion, in the metric; positive is better. None without one."""
    if verdict.champion is None:
        return None
    difference = verdict.candidate - verdict.champion
    if not math.isfinite(difference):
        return None
    return -difference if metric_named(verdict.metric).lower_is_better else difference


def _on_values(
    metric: Metric,
    found: Comparison,
    candidate: Answered,
    champion: Answered | None,
    rows: JudgedRows,
    settings: EvaluationSettings,
) -> list[Finding]:
    """The rules after the rows are known to be comparable; a side that cannot be measured is compared with nobody."""
    measurable = gate_rules.defined("candidate_measured", f"candidate's {metric.name}", found.candidate)
    if not measurable.rule.passed:
        return [measurable]
    findings = [
        measurable,
        paired_rules.beats(metric, candidate, rows, settings),
        gate_rules.minimum(metric, found.candidate, settings),
        gate_rules.groups(metric, candidate, rows, settings),
        gate_rules.calibration(candidate, rows, settings),
    ]
    if champion is not None:
        measurable = gate_rules.defined("champion_measured", f"champion's {metric.name}", found.other)
        if not measurable.rule.passed:
            return [*findings, measurable]
        findings += [measurable, paired_rules.better(found, settings)]
    return [
        *findings,
        paired_rules.holdout(metric, candidate, champion, rows, settings),
        paired_rules.slices(metric, candidate, champion, rows, settings),
    ]


def _alone(metric: Metric, candidate: Answered, rows: JudgedRows) -> Comparison:
    """The candidate's own value, if it answered these rows."""
    nothing = _nothing(metric, rows.recent.rows)
    if not rows.recent.are_answered_by(candidate.recent):
        return nothing
    return replace(nothing, candidate=measured(metric, rows.recent.truth, candidate.recent.answers))


def _nothing(metric: Metric, rows: int) -> Comparison:
    return Comparison(math.nan, math.nan, math.nan, math.nan, 0.0, rows, metric.lower_is_better)


def _verdict(
    metric: Metric, found: Comparison, findings: list[Finding], rows: LabelledRows, *, has_champion: bool
) -> Verdict:
    failed = sorted((one for one in findings if not one.rule.passed), key=lambda one: not one.rejects)
    outcome: Outcome = "promote" if not failed else "reject" if failed[0].rejects else "inconclusive"
    return Verdict(
        outcome=outcome,
        reason=_reason(outcome, failed, metric, found, has_champion=has_champion),
        metric=metric.name,
        candidate=found.candidate,
        champion=found.other if math.isfinite(found.other) else None,
        difference_low=found.low if math.isfinite(found.low) else None,
        difference_high=found.high if math.isfinite(found.high) else None,
        rows=rows.rows,
        table_sha256=rows.sha256,
        rules=tuple(one.rule for one in findings),
        rows_to_settle=failed[0].rows_to_settle if outcome == "inconclusive" else None,
    )


def _reason(outcome: Outcome, failed: list[Finding], metric: Metric, found: Comparison, *, has_champion: bool) -> str:
    """One sentence with the numbers that decided."""
    name = metric.name
    first, others = (failed[0], failed[1:]) if failed else (None, [])
    also = f" (also failed: {', '.join(one.rule.name for one in others)})" if others else ""
    settles = f"; {first.outlook}" if first is not None and first.outlook else ""
    if first is not None and first.rule.name not in CONTEST_RULES:
        return f"{first.rule.detail}; {_end(outcome)}{settles}{also}"
    if not has_champion:
        return f"candidate {name} {found.candidate:.3f} on {found.rows:,} rows, and there is no champion yet; promoted"
    direction = ", lower is better" if metric.lower_is_better else ""
    return (
        f"candidate {name} {found.candidate:.3f} against champion {found.other:.3f} on the same {found.rows:,} rows"
        f"{direction}: {found}; {_contest_end(outcome, found)}{settles}{also}"
    )


def _contest_end(outcome: Outcome, found: Comparison) -> str:
    if outcome == "promote":
        return "promoted" if found.low > 0 else "not worse by more than the margin, promoted"
    return "the candidate is worse, rejected" if outcome == "reject" else "not clearly better, so the champion stays"


def _end(outcome: Outcome) -> str:
    return "rejected" if outcome == "reject" else "nothing is settled, so nothing changes"

"""The rules that look at one fact each: are the rows fit to judge on, and is the candidate within its limits?

A limit that is set while its fact is missing is a rule that fails: the gate is closed by default. Rules that compare
two models are in `paired_rules`.
"""

import math
from collections.abc import Mapping

import numpy as np

from components.evaluation.comparing import measured
from components.evaluation.evidence import Answered, JudgedRows, RowAnswers
from components.evaluation.findings import Finding, checked, held, unsettled
from components.evaluation.metrics import METRICS, Metric, is_finite
from components.evaluation.predicting import Array
from components.settings.evaluation import EvaluationSettings

# A row that was written down twice may stand on both sides of a boundary; one in a thousand moves no score.
MOST_SEEN = 0.001


def candidate_finite(candidate: Answered) -> Finding:
    """Every answer of the candidate is a number."""
    given = [candidate.recent, *([candidate.holdout] if candidate.holdout else [])]
    names = ("prediction", "probability")
    broken = [name for name in names if not all(is_finite(getattr(one.answers, name)) for one in given)]
    found = f"it holds broken values in {' and '.join(broken)}" if broken else "it is"
    return checked("candidate_finite", not broken, f"every answer of the candidate must be finite, and {found}")


def same_rows(candidate: Answered, champion: Answered | None, rows: JudgedRows) -> Finding:
    """Everybody answered the very rows whose truth is known: same content, same number."""
    sides = {"candidate": candidate, **({"champion": champion} if champion else {})}
    wrong = [
        f"{side} {_short(given)}, the {part} rows {truth.sha256[:8]} ({truth.rows:,} rows)"
        for side, answered in sides.items()
        for part, truth, given in (
            ("recent", rows.recent, answered.recent),
            *([("holdout", rows.holdout, answered.holdout)] if rows.holdout else []),
        )
        if not truth.are_answered_by(given)
    ]
    both = "both sides" if champion else "the candidate"
    if wrong:
        return unsettled("same_rows", f"{both} must answer the rows that are judged on: {'; '.join(wrong)}")
    also = f" and the holdout {rows.holdout.sha256[:8]}" if rows.holdout else ""
    return held("same_rows", f"{both} answered the same rows {rows.recent.sha256[:8]}{also}")


def enough_rows(rows: JudgedRows, settings: EvaluationSettings) -> Finding:
    """There are enough labelled rows to say anything."""
    found = rows.recent.rows
    detail = f"at least {settings.min_rows:,} labelled rows are needed, found {found:,}"
    if found >= settings.min_rows:
        return held("enough_rows", detail)
    more = settings.min_rows - found
    return unsettled("enough_rows", detail, rows_to_settle=more, outlook=f"{more:,} more labelled rows are needed")


def rows_apart(rows: JudgedRows) -> Finding:
    """No row that was judged or chosen on was learned from: a model that knows the answers says nothing of others."""
    wanted = "rows to judge and to choose on must not be among those it learned from"
    if not rows.seen:
        return unsettled("rows_apart", f"{wanted}, but nobody has looked")
    shares = ", ".join(f"{share:.4g} of {part}" for part, share in rows.seen.items())
    apart = all(share <= MOST_SEEN for share in rows.seen.values())
    return checked("rows_apart", apart, f"{wanted}, found shares of {shares}")


def defined(rule: str, what: str, value: float) -> Finding:
    """The metric has a value."""
    detail = f"the {what} must be defined on these rows, found {value:.4g}"
    return held(rule, detail) if math.isfinite(value) else unsettled(rule, detail)


def minimum(metric: Metric, value: float, settings: EvaluationSettings) -> Finding:
    """The candidate is good enough by itself."""
    if settings.minimum is None:
        return held("minimum", "no minimum is set")
    good = value <= settings.minimum if metric.lower_is_better else value >= settings.minimum
    bound = "at most" if metric.lower_is_better else "at least"
    return checked("minimum", good, f"{metric.name} must be {bound} {settings.minimum:g}, found {value:.4g}")


def groups(metric: Metric, candidate: Answered, rows: JudgedRows, settings: EvaluationSettings) -> Finding:
    """It serves the declared groups about equally well."""
    limit = settings.gate.max_group_gap
    if limit is None:
        return held("groups", "no largest gap between groups is set")
    if not settings.groups:
        return unsettled("groups", f"no group may be {limit:g} behind another, but evaluation.groups declares none")
    gaps = {}
    for column in settings.groups:
        values = _by_group(metric, candidate, rows, rows.groups.get(column), settings.slice_rows)
        if len(values) < 2:
            return unsettled(
                "groups",
                f"no group of {column!r} may be {limit:g} behind another in {metric.name}, but fewer than two of them "
                f"have {settings.slice_rows:,} rows on which it is defined",
            )
        ordered = sorted(values, key=lambda name: values[name])
        low, high = ordered[0], ordered[-1]
        gaps[f"{column}: {low} {values[low]:.4g}, {high} {values[high]:.4g}"] = values[high] - values[low]
    told = "; ".join(f"{name}, gap {gap:.4g}" for name, gap in gaps.items())
    worst = max(gaps.values())
    return checked("groups", worst <= limit, f"{metric.name} of groups may be {limit:g} apart, found {told}")


def calibration(candidate: Answered, rows: JudgedRows, settings: EvaluationSettings) -> Finding:
    """It means what it says: of rows stated at 0.8, eight in ten are so."""
    limit = settings.gate.max_calibration_error
    if limit is None:
        return held("calibration", "no largest calibration error is set")
    error = measured(METRICS["calibration_error"], rows.recent.truth, candidate.recent.answers)
    if not math.isfinite(error):
        return unsettled("calibration", f"the calibration error must be at most {limit:g}, but there is none")
    return checked("calibration", error <= limit, f"calibration_error must be at most {limit:g}, found {error:.4g}")


def behaviours(candidate: Answered, settings: EvaluationSettings) -> Finding:
    """It behaves as the project file says."""
    wanted, found = len(settings.behaviours), candidate.behaviours or ()
    failed = [rule for rule in found if not rule.passed]
    if failed:
        told = "; ".join(f"{rule.name}: {rule.detail}" for rule in failed)
        return checked("behaviours", False, f"{len(failed)} of {len(found)} behaviours fail: {told}")
    if len(found) < wanted:
        return unsettled("behaviours", f"{wanted} behaviours are declared, but only {len(found)} were tested")
    return held("behaviours", f"all of {len(found)} behaviours hold" if found else "no behaviours are declared")


def latency(candidate: Answered, settings: EvaluationSettings) -> Finding:
    """It answers one row fast enough."""
    limit = settings.gate.max_p99_ms
    if limit is None:
        return held("latency", "no largest latency is set")
    found = [one for one in (candidate.footprint.latencies if candidate.footprint else ()) if one.rows == 1]
    if not found:
        return unsettled(
            "latency", f"99 of 100 calls with one row must take {limit:g} ms at most, but none was measured"
        )
    p99 = found[0].p99_ms
    return checked(
        "latency", p99 <= limit, f"99 of 100 calls with one row must take {limit:g} ms at most, found {p99:.3g}"
    )


def size(candidate: Answered, settings: EvaluationSettings) -> Finding:
    """Its graph is small enough."""
    limit, found = settings.gate.max_mb, candidate.megabytes
    if limit is None:
        return held("size", "no largest size is set")
    if found is None:
        return unsettled("size", f"the graph must have {limit:g} MB at most, but its size is not known")
    return checked("size", found <= limit, f"the graph must have {limit:g} MB at most, found {found:.3g}")


def _short(given: RowAnswers | None) -> str:
    if given is None:
        return "no answers"
    return f"{given.sha256[:8]} ({given.answers.prediction.shape[0]:,} rows)"


def _by_group(
    metric: Metric, candidate: Answered, rows: JudgedRows, labels: Array | None, fewest: int
) -> Mapping[str, float]:
    """The metric of each group with enough rows on which it is defined."""
    if labels is None:
        return {}
    values = {}
    for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
        chosen = np.flatnonzero(labels == label)
        value = measured(metric, rows.recent.truth[chosen], candidate.recent.answers.at(chosen))
        if count >= fewest and math.isfinite(value):
            values[str(label)] = value
    return values

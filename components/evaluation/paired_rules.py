"""The rules that compare the candidate with another model on the same rows, each by the interval of the gain.

The intervals of several slices are widened for their number (Bonferroni), so that with many slices chance alone
rejects no more often than with one.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from components.evaluation.comparing import MOST_TIMES, Comparison, compare
from components.evaluation.evidence import Answered, JudgedRows
from components.evaluation.findings import Finding, checked, held, unsettled
from components.evaluation.metrics import Metric
from components.evaluation.predicting import Array
from components.settings.evaluation import EvaluationSettings

# What it means not to beat a simple model.
WORTH = {"constant": "a model that has learned nothing", "linear": "a sum of its columns"}


def beats(metric: Metric, candidate: Answered, rows: JudgedRows, settings: EvaluationSettings) -> Finding:
    """It is better than a simple model beyond doubt; one that is not has learned nothing of use."""
    name = settings.gate.beat
    if name == "none":
        return held("beats", "no simple model is to be beaten")
    wanted = f"the interval of the gain over the simple model {name!r} must lie above 0"
    if candidate.comparator is None:
        return unsettled("beats", f"{wanted}, but there are no answers of it")
    found = compare(metric, rows.recent.truth, candidate.recent.answers, candidate.comparator, settings)
    if not found.is_measured:
        return unsettled("beats", f"{wanted}, found {found}")
    passed = found.low > 0
    verdict = "" if passed else f": on these rows the candidate is worth no more than {WORTH[name]}"
    return checked("beats", passed, f"{wanted}, found {metric.name} {found.other:.4g} for it and {found}{verdict}")


def better(found: Comparison, settings: EvaluationSettings) -> Finding:
    """It is better than the champion beyond doubt; or, if that is what is asked, not worse than by the margin."""
    if settings.gate.test == "superiority":
        name, threshold, wanted = "superiority", 0.0, "the interval of the gain must lie above 0"
    else:
        name, threshold = "non_inferiority", -settings.gate.margin
        wanted = f"the interval of the gain must lie above {threshold:g}"
    return _above(name, threshold, f"{wanted}, found {found}", found, "more labelled rows")


def holdout(
    metric: Metric, candidate: Answered, champion: Answered | None, rows: JudgedRows, settings: EvaluationSettings
) -> Finding:
    """On rows that no version ever learned from it is not worse than by the margin: what is new has not cost the old.

    Half the rows that decide a contest are enough for that coarser question; with fewer the rule fails.
    """
    if rows.holdout is None:
        return held("holdout", "the project keeps no holdout (data.split.holdout_share is 0)")
    if champion is None:
        return held("holdout", "there is no champion to compare with on the holdout")
    fewest, margin = settings.min_rows // 2, settings.gate.holdout_margin
    if rows.holdout.rows < fewest:
        return unsettled(
            "holdout",
            f"at least {fewest:,} rows of the holdout are needed, found {rows.holdout.rows:,}; "
            "raise data.split.holdout_share, or set it to 0",
        )
    assert candidate.holdout is not None
    assert champion.holdout is not None
    found = compare(metric, rows.holdout.truth, candidate.holdout.answers, champion.holdout.answers, settings)
    wanted = f"on {found.rows:,} rows of the holdout the interval of the gain must lie above {-margin:g}"
    finding = _above("holdout", -margin, f"{wanted}, found {found}", found, "more rows in the holdout")
    # The holdout gets only a share of all labelled rows.
    return replace(finding, rows_to_settle=None)


def slices(
    metric: Metric, candidate: Answered, champion: Answered | None, rows: JudgedRows, settings: EvaluationSettings
) -> Finding:
    """No declared slice has become worse beyond doubt by more than the margin, however much the others have gained."""
    if not settings.slices:
        return held("slices", "no slices are declared")
    if champion is None:
        return held("slices", "there is no champion to compare slices with")
    absent = [name for name in settings.slices if name not in rows.slices]
    if absent:
        return unsettled("slices", f"every declared slice must be looked at, but the rows have no column {absent}")
    large = dict(_large_slices(rows, settings))
    found = _compared(metric, candidate, champion, rows, large, settings)
    margin = settings.gate.slice_margin
    wanted = f"no slice may be worse by more than {margin:g} beyond doubt"
    if not found:
        return held("slices", f"{wanted}, and none has {settings.slice_rows:,} rows on which {metric.name} can be told")
    worse = {name: one for name, one in found.items() if one.high < -margin}
    if worse:
        told = "; ".join(f"{name} ({one.rows:,} rows): {one}" for name, one in worse.items())
        return checked("slices", False, f"{wanted}, but {len(worse)} of {len(found)} are: {told}")
    lowest = min(found, key=lambda name: found[name].gain)
    left_out = f", {len(large) - len(found)} cannot be measured" if len(found) < len(large) else ""
    return held("slices", f"{wanted}, and none of {len(found)} is{left_out}; lowest: {lowest}, {found[lowest]}")


def _above(name: str, threshold: float, detail: str, found: Comparison, more_rows: str) -> Finding:
    """The interval must lie above the threshold; below it, the candidate is worse, around it, nothing is settled."""
    if found.low > threshold:
        return held(name, detail)
    if found.high < threshold:
        return checked(name, False, detail)
    if not found.is_measured:
        return unsettled(name, detail)
    more = found.rows_to_clear(threshold)
    close = f"the two are so close that {MOST_TIMES} times the rows would not settle it"
    outlook = close if more is None else f"about {more:,} {more_rows} would settle it, if the gain stays as it is"
    return unsettled(name, detail, rows_to_settle=more, outlook=outlook)


def _large_slices(rows: JudgedRows, settings: EvaluationSettings) -> Iterator[tuple[str, Array]]:
    """The declared slices of enough rows, each with the numbers of its rows."""
    for column in settings.slices:
        labels = rows.slices[column]
        for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
            if count >= settings.slice_rows:
                yield f"{column}={label}", np.flatnonzero(labels == label)


def _compared(
    metric: Metric,
    candidate: Answered,
    champion: Answered,
    rows: JudgedRows,
    chosen: dict[str, Array],
    settings: EvaluationSettings,
) -> dict[str, Comparison]:
    """The slices whose gain has an interval; in one where all rows are of one class, nobody is better or worse."""
    confidence = 1 - (1 - settings.confidence) / max(1, len(chosen))
    found = {
        name: compare(
            metric,
            rows.recent.truth[here],
            candidate.recent.answers.at(here),
            champion.recent.answers.at(here),
            settings,
            confidence=confidence,
        )
        for name, here in chosen.items()
    }
    return {name: one for name, one in found.items() if one.is_measured}

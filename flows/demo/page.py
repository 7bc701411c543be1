"""The demo's figures as the one page about the loop, and as the closing tables in the terminal."""

from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from components.data.decisions import DecisionEntry
from components.monitoring.latest import Truth
from components.monitoring.loop_page import loop_page
from components.monitoring.loop_story import LoopEvent, LoopMonth, LoopStory, LoopVersion, LoopWindow
from components.records.models import ModelFiles
from components.settings.environment import Environment
from components.settings.project import Project
from flows.demo.figures import Figures
from flows.demo.screen import Screen
from flows.report import addresses, loop_window, trained_once
from flows.report_events import OUTCOMES

SHOWN = (
    *("requests", "failed_requests", "rows_sent", "predictions_logged", "labels_joined", "windows", "reports"),
    *("retrainings", "promotions", "rejections", "inconclusive", "drift_to_live_seconds", "wall_seconds"),
)


def write_page(
    found: Figures, made: dict[int, ModelFiles], project: Project, environment: Environment, output: Path
) -> Path:
    """`loop.html` in the output folder.

    Args:
        found: The figures.
        made: The files of every version that was made, by its number.
        project: The project.
        environment: Where its servers are.
        output: The output folder.
    """
    story = LoopStory(
        project=project.name,
        windows=_windows(found),
        months=tuple(LoopMonth(month.name, month.rows, month.loop, month.static) for month in found.months),
        versions=_versions(found, made),
        events=_events(found),
        # What is a list has a chart or a table of its own.
        totals={name: value for name, value in found.summary.items() if not isinstance(value, (list, dict))},
        addresses=addresses(environment),
        metric=project.evaluation.metric,
        drift_limit=project.monitoring.trigger.drift_share,
        weighted_limit=project.monitoring.trigger.weighted_drift,
    )
    return loop_page(story, output.resolve() / "loop.html")


def show(found: Figures, screen: Screen, summary: Path, page: Path) -> None:
    """The closing tables and where to look further."""
    facts = found.summary
    rows = [[month.name, f"{month.rows:,}", _auc(month.static), _auc(month.loop)] for month in found.months]
    rows.append(["mean", "", _auc(facts["auc_static"]), _auc(facts["auc_loop"])])
    screen.table("AUC a month", ["month", "labelled rows", "first model alone", "the loop"], rows)
    screen.table(
        "The run", ["figure", "value"], [[name, f"{facts[name]:,}"] for name in SHOWN if facts[name] is not None]
    )
    screen.say(f"summary  {summary}\npage     {page}")


def _auc(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _windows(found: Figures) -> tuple[LoopWindow, ...]:
    """Each window as a report shows it, with the first model's figures beside it, on all labels that came."""
    shown = (
        replace(
            loop_window(entry, Truth(entry.decision.facts.rows, scored.rows, scored.loop)), auc_static=scored.static
        )
        for entry, scored in zip(found.entries, found.windows, strict=True)
    )
    return trained_once(tuple(shown))


def _events(found: Figures) -> tuple[LoopEvent, ...]:
    begin = found.entries[0].decision.window.start
    events = [LoopEvent(begin, "release", 1, "The first model, trained on the flights of January to April.")]
    for entry in found.entries:
        if entry.decision.verdict == "retrain":
            events.append(LoopEvent(entry.decision.window.end, "retraining", None, entry.decision.reason))
        if entry.outcome in OUTCOMES:
            kind = OUTCOMES[entry.outcome]
            events.append(LoopEvent(entry.decision.window.end, kind, entry.candidate_version, entry.detail or ""))
    return tuple(events)


def _versions(found: Figures, made: dict[int, ModelFiles]) -> tuple[LoopVersion, ...]:
    """Every version, from its making to its end: a promoted one lives until the next promotion."""
    asked: dict[int, DecisionEntry] = {e.candidate_version: e for e in found.entries if e.candidate_version is not None}
    begin = found.entries[0].decision.window.start
    since: dict[int, datetime] = {1: begin}
    since |= {number: e.decision.window.end for number, e in asked.items() if e.outcome == "promote"}
    lives = sorted(since.items(), key=lambda item: item[1])
    until = {number: following for (number, _), (_, following) in pairwise(lives)}
    return tuple(
        LoopVersion(
            version=number,
            state="not promoted" if number not in since else "replaced" if number in until else "live",
            trained_until=asked[number].decision.window.end if number in asked else begin,
            live_since=since.get(number),
            live_until=until.get(number),
            auc=files.metrics.get("roc_auc"),
            reason=asked[number].decision.reason if number in asked else "first",
        )
        for number, files in sorted(made.items())
    )

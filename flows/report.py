"""What `everfit report` writes: the one page about a project's loop, from the outbox, the ledger and the registry.

It needs no server: the outbox and the ledger are files, and the registry may be one. What does not answer is left out,
and the page says so.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from components.data.compaction import compact
from components.data.decisions import DecisionEntry
from components.data.windows import read_answers
from components.errors import EverfitError
from components.monitoring.latest import Truth, truths
from components.monitoring.loop_page import loop_page
from components.monitoring.loop_story import LoopStory, LoopWindow
from components.monitoring.quality import metric_named
from components.records.models import ModelFiles
from components.records.watching import Window
from components.registry import fetching, tracking, versions
from components.settings.environment import Environment
from components.settings.project import Project
from flows.folders import outbox
from flows.report_events import Registry, read_registry, told_events, told_versions
from flows.stack import state

log = logging.getLogger(__name__)

T = TypeVar("T")

TITLES = {"mlflow": "MLflow", "prefect": "Prefect", "service": "Service", "evidently": "Evidently"}
# A year of weekly windows.
WINDOWS = 52
# Answers of so many rows are read at once: about 100 bytes each.
ROWS_AT_ONCE = 4_000_000


def write_report(project: Project, environment: Environment, out: Path, *, windows: int = WINDOWS) -> Path:
    """The page, written in one step.

    Args:
        project: The project.
        environment: Where its outbox, ledger and registry are.
        out: The HTML file.
        windows: The newest so many windows are shown.
    """
    return loop_page(story_of(project, environment, windows=windows), out)


def story_of(project: Project, environment: Environment, *, windows: int = WINDOWS) -> LoopStory:
    """What the loop did, with the labels that are in now."""
    notes: list[str] = []
    tracking.connect(environment)
    everything = newest_of_each_window(outbox(project.name).history(project.name))
    entries = everything[-windows:]
    known = _or_note(lambda: read_registry(project.name, project.evaluation.metric), notes, Registry())
    unknown: dict[Window, Truth] = {}
    truth = _or_note(lambda: labels_now(project, environment, entries), notes, unknown)
    found = tuple(loop_window(entry, truth.get(entry.decision.window)) for entry in entries)
    references = {w.version: w.reference for w in found if w.version is not None and w.reference is not None}
    return LoopStory(
        project=project.name,
        windows=trained_once(found),
        versions=told_versions(known, references),
        events=told_events(entries, known),
        addresses=addresses(environment),
        metric=project.evaluation.metric,
        lower_is_better=metric_named(project.evaluation.metric).lower_is_better,
        drift_limit=project.monitoring.trigger.drift_share,
        weighted_limit=project.monitoring.trigger.weighted_drift,
        notes=tuple(notes),
        left_out=len(everything) - len(entries),
    )


def newest_of_each_window(entries: Sequence[DecisionEntry]) -> list[DecisionEntry]:
    """One entry a window, oldest first: of a window that was decided on again, the newest."""
    newest = {(entry.decision.window.start, entry.decision.window.end): entry for entry in entries}
    return [newest[key] for key in sorted(newest, key=lambda key: (key[1], key[0]))]


def labels_now(project: Project, environment: Environment, entries: Sequence[DecisionEntry]) -> dict[Window, Truth]:
    """What the labels say by now of each window of which some were missing when it was measured.

    Raises:
        PassingFault: If the registry cannot be reached.
        LedgerError: If the ledger cannot be read.
    """
    windows = [entry.decision.window for entry in entries if _may_have_changed(entry)]
    champion = versions.champion(project.name) if windows else None
    if champion is None:
        return {}
    files = fetching.fetch(champion, environment.cache())
    ledger = environment.ledger(project.name)
    compact(ledger, files.schema)
    rows = {entry.decision.window: entry.decision.facts.rows for entry in entries}
    found: dict[Window, Truth] = {}
    for some in _parts(windows, rows):
        found |= _measured(some, ledger, files, project)
    return found


def loop_window(entry: DecisionEntry, truth: Truth | None = None) -> LoopWindow:
    """A window as the page shows it: with the labels that are in now, if these are known, and as it was decided on."""
    decision, facts = entry.decision, entry.decision.facts
    then = Truth(
        facts.rows,
        facts.labelled_rows,
        facts.quality,
        facts.quality_low,
        facts.quality_high,
        facts.label_delay_hours,
        facts.label_conflicts,
    )
    now = truth or then
    return LoopWindow(
        start=decision.window.start,
        end=decision.window.end,
        rows=max(facts.rows, now.rows),
        labelled=now.labelled,
        auc_loop=now.quality,
        auc_static=None,
        drift_share=facts.drift_share,
        version=decision.version,
        verdict=decision.verdict,
        reason=decision.reason,
        report=facts.report,
        low=now.low,
        high=now.high,
        then=facts.quality,
        labelled_then=facts.labelled_rows,
        expected=facts.expected_quality,
        expected_low=facts.expected_low,
        expected_high=facts.expected_high,
        reference=facts.reference_quality,
        weighted_drift=facts.weighted_drift,
        delay_hours=now.delay_hours,
        conflicts=now.conflicts,
        calibration_error=facts.calibration_error,
        p50_ms=facts.p50_ms,
        p99_ms=facts.p99_ms,
        requests=facts.requests,
        failed=facts.failed_requests,
        serving_cost=facts.serving_cost,
        training_cost=facts.training_cost,
        outcome=came_of(entry),
    )


def came_of(entry: DecisionEntry) -> str:
    """What came of a decision, as one sentence; empty where nothing was to be done."""
    if entry.decision.verdict != "retrain":
        return ""
    if entry.is_open:
        return f"waits for a run: {entry.detail}" if entry.detail else "waits for a run"
    if entry.state == "running":
        return "is being carried out"
    version = f", version {entry.candidate_version}" if entry.candidate_version else ""
    return f"{entry.outcome or entry.state}{version}: {entry.detail or 'no reason was given'}"


def trained_once(windows: Sequence[LoopWindow]) -> tuple[LoopWindow, ...]:
    """The windows, with what a version's training cost only in the first window that it answered."""
    seen: set[int | None] = set()
    found = []
    for window in windows:
        found.append(replace(window, training_cost=None) if window.version in seen else window)
        seen.add(window.version)
    return tuple(found)


def addresses(environment: Environment) -> dict[str, str]:
    """Where to look further: the servers of the running stack, or the registry's server."""
    stack = state.read(environment)
    if stack is not None:
        return {TITLES[server.name]: server.address for server in stack.servers if server.name in TITLES}
    tracking_uri = environment.tracking
    return {"MLflow": tracking_uri} if tracking_uri.startswith("http") else {}


def _may_have_changed(entry: DecisionEntry) -> bool:
    """Whether labels were missing when the window was measured: of these, some may have come since."""
    return entry.decision.facts.labelled_rows < entry.decision.facts.rows


def _parts(windows: Sequence[Window], rows: dict[Window, int]) -> Iterator[list[Window]]:
    """Windows that follow each other and together have no more rows than are read at once."""
    part: list[Window] = []
    for window in windows:
        if part and sum(rows[one] for one in [*part, window]) > ROWS_AT_ONCE:
            yield part
            part = []
        part.append(window)
    if part:
        yield part


def _measured(windows: Sequence[Window], ledger: Path, files: ModelFiles, project: Project) -> dict[Window, Truth]:
    span = Window(min(window.start for window in windows), max(window.end for window in windows))
    frame = read_answers(ledger, span, schema=files.schema)
    settings = project.monitoring.trigger
    return truths(frame, windows, files.schema, project.evaluation.metric, min_labelled_rows=settings.min_labelled_rows)


def _or_note(look: Callable[[], T], notes: list[str], otherwise: T) -> T:
    """What is found, or else the reason why not, as a note on the page."""
    try:
        return look()
    except EverfitError as err:
        log.warning("left out of the report: %s", err)
        notes.append(f"Left out, because {err}")
        return otherwise

"""Tasks that watch a window of live traffic and decide what follows from it."""

import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from prefect.events import emit_event

from components.data import baselines, blocks, windows
from components.data.compaction import compact as move_segments
from components.monitoring import deciding
from components.monitoring import measure as measuring
from components.records.models import ModelFiles
from components.records.watching import Decision, History, Window, WindowFacts
from components.registry import fetching, history, learned, thresholds, tracking, versions
from components.serving.counts_page import requests_since
from components.settings.environment import Environment
from components.settings.project import Project
from flows.events import announcement, has_listener
from flows.folders import outbox
from flows.tasks.policy import step

log = logging.getLogger(__name__)


@step
def with_thresholds(project: Project, champion: ModelFiles) -> Project:
    """The project with the thresholds that hold for its champion, which are kept with that version."""
    tracking.connect(Environment())
    thresholds.keep(champion.version, project.monitoring)
    found = thresholds.in_force(champion.version, project.monitoring)
    return project.model_copy(update={"monitoring": found})


@step
def compact(project: Project, champion: ModelFiles) -> None:
    """Every prediction and label that was acknowledged so far stands in the ledger's tables."""
    move_segments(Environment().ledger(project.name), champion.schema)


@step
def measure(project: Project, window: Window, champion: ModelFiles) -> WindowFacts:
    """The window's drift and quality, against the reference of the version that gave most of its answers."""
    environment = Environment()
    tracking.connect(environment)
    ledger = environment.ledger(project.name)
    frame = windows.read_window(ledger, window, schema=champion.schema)
    answered_by = _files_of_most_answers(project, frame, champion, environment.cache())
    facts = measuring.measure(
        frame,
        answered_by,
        project,
        window,
        workspace=environment.workspace,
        out=environment.work(project.name) / "reports",
        baseline=baselines.baseline(
            project, answered_by.schema, window, ledger=ledger, tables=environment.tables(project.name)
        ),
        requests=requests_since(environment.service, _counted_before(project.name, window)),
    )
    return replace(facts, trained_until=learned.trained_until(answered_by.version) or facts.trained_until)


@step
def log_report(project: Project, facts: WindowFacts) -> None:
    """The window's figures and its report, in MLflow."""
    tracking.connect(Environment())
    history.log_report(project.name, facts)


@step
def decide(project: Project, facts: WindowFacts) -> Decision:
    """What follows from the window and those before it; recorded in the outbox, also every no.

    A window that is measured again gets the answer that is recorded already.
    """
    box = outbox(project.name)
    earlier = [entry.decision.facts for entry in box.history(project.name)]
    past = [seen for seen in earlier if seen.window.end <= facts.window.start]
    asked = box.retrainings(project.name)
    decision = deciding.decide(
        History(project.name, project.evaluation.metric, (*past, facts), asked), project.monitoring
    )
    if box.add(decision):
        return decision
    recorded = box.entry(decision.id)
    return recorded.decision if recorded else decision


@step
def announce(decision: Decision) -> None:
    """The decision as a Prefect event, for which an automation waits.

    An event is lost when the server is away: `emit_event` returns as if nothing had happened. The decision stands in
    the outbox all the same, and `reconcile` carries out what was announced but not heard. Without a server nobody would
    hear it at all: then it is not even announced, and `everfit monitor` carries it out itself (`flows.acting`). A
    window that is measured again finds its decision announced already.
    """
    box = outbox(decision.project)
    if not box.is_unheard(decision.id):
        return
    if not has_listener():
        log.info("decision not announced, there is no Prefect server decision=%s", decision.id)
        return
    emit_event(**announcement(decision))
    box.mark_emitted(decision.id)


def _counted_before(project_name: str, window: Window) -> tuple[int, int] | None:
    """What the endpoint had counted when it last said so for another window, by wall time; None if it never did."""
    said = [
        (entry.decided_at, entry.decision.facts.counted)
        for entry in outbox(project_name).history(project_name)
        if entry.decision.window != window and entry.decision.facts.counted is not None
    ]
    return max(said)[1] if said else None


def window_until(project: Project, until: datetime | None) -> Window:
    """The newest window: it ends at `until`, or now; counted by rows, it is the newest full block of them.

    The blocks follow the last that was full and decided on, so measuring twice looks at the same one.
    """
    end = until or datetime.now(UTC)
    rows = project.monitoring.window_rows
    by_time = Window(end - project.monitoring.window, end)
    if rows is None:
        return by_time
    decided = (entry.decision for entry in outbox(project.name).history(project.name))
    full = [past.window for past in decided if past.facts.rows >= rows and past.window.end <= end]
    last = max(full, key=lambda window: window.end, default=None)
    return blocks.newest_block(Environment().ledger(project.name), rows, until=end, after=last) or by_time


def _files_of_most_answers(project: Project, frame: pl.DataFrame, champion: ModelFiles, cache: Path) -> ModelFiles:
    """The files of the version behind most rows; the champion's for a window without any."""
    if frame.is_empty():
        return champion
    most = int(frame["version"].value_counts(sort=True)["version"].to_list()[0])
    if most == champion.version.version:
        return champion
    return fetching.fetch(versions.version(project.name, most), cache)

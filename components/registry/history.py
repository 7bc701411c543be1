"""What was live when, and what was measured in each window: the model's life after its birth, kept in MLflow."""

import json
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from numbers import Real
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric

from components.records.jsonable import to_jsonable
from components.records.models import ModelVersion
from components.records.watching import Window, WindowFacts
from components.registry.moves import Move
from components.registry.tracking import address, experiment_id, reaching
from components.registry.versions import moves, registered

log = logging.getLogger(__name__)

LIVE = "everfit.live."
MONITORING = "monitoring"
DAY = timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LiveEntry:
    """A stretch of time in which a service answered with one version.

    Attributes:
        version: Version number.
        since: From when (UTC).
        until: Until when (UTC); None if it still does.
        service: Address of the service; empty if nobody ever noted one.
        is_seen: Whether someone saw the service answer with it; else it is known from the alias, which it follows.
        move: The move of the alias that brought it there; None if there was none.
    """

    version: int
    since: datetime
    until: datetime | None
    service: str
    is_seen: bool = True
    move: Move | None = None


def record_live(version: ModelVersion, since: datetime, service: str) -> None:
    """Note that the service answers with this version since that moment; noting it again changes nothing.

    Each note is a tag of its own on the version, named by its moment, so none is ever overwritten.

    Raises:
        ValueError: If the moment has no zone.
        PassingFault: If MLflow cannot be reached.
    """
    moment = _utc(since)
    before = _at(live_history(version.name), moment, service)
    if before is not None and before.is_seen and before.version == version.version:
        return
    note = json.dumps({"since": moment.isoformat(), "service": service})
    with reaching(f"a note that version {version.version} of {version.name} is live"):
        MlflowClient().set_model_version_tag(
            version.name, str(version.version), f"{LIVE}{moment:%Y%m%dT%H%M%S.%fZ}", note
        )
    log.info("version live model=%s version=%d since=%s service=%s", version.name, version.version, moment, service)


def live_history(name: str) -> list[LiveEntry]:
    """What was live when, oldest first; each entry ends when the next of the same service begins.

    What was noted is completed by the moves of the alias that no note followed, because who moved it was killed, or
    nobody ran `release`.
    """
    moved = moves(name)
    noted = _notes(name)
    found = sorted([*noted, *_unseen(moved, noted)], key=lambda entry: (entry.since, entry.version))
    return [
        replace(
            entry,
            until=next((later.since for later in found[at + 1 :] if later.service == entry.service), None),
            move=_move_behind(entry, moved),
        )
        for at, entry in enumerate(found)
    ]


def live_at(name: str, moment: datetime, service: str | None = None) -> LiveEntry | None:
    """What was live at a moment, of any service or of one; None before the first note.

    Raises:
        ValueError: If the moment has no zone.
    """
    return _at(live_history(name), _utc(moment), service)


def log_report(name: str, facts: WindowFacts) -> None:
    """A window's figures and its report, on the one run `monitoring` of the project's experiment.

    Metrics carry the end of the window as their time, and its days since 1970 as their step. Logging a window again
    replaces its report and repeats no figure.

    Args:
        name: Name of the project.
        facts: What was measured; its report is kept if it is a file on this machine.
    """
    end = _utc(facts.window.end)
    metrics = [Metric(key, value, int(end.timestamp() * 1000), (end - EPOCH) // DAY) for key, value in _figures(facts)]
    with reaching(f"a place for the report of {facts.window} of {name}"):
        client = MlflowClient()
        run_id = monitoring_run(name)
        client.log_batch(run_id, metrics=metrics)
        client.log_dict(run_id, to_jsonable(facts), f"windows/{window_name(facts.window)}.json")
        report = Path(facts.report)
        if facts.report and report.is_file():
            text = report.read_text(encoding="utf-8")
            client.log_text(run_id, text, f"reports/{window_name(facts.window)}.html")
    log.info("window logged project=%s window=%s run=%s", name, facts.window, run_id)


def report_link(name: str, window: Window) -> str:
    """Address of a window's report in MLflow's UI; empty where MLflow has no server.

    Raises:
        PassingFault: If MLflow cannot be reached.
    """
    if not address().startswith("http"):
        return ""
    with reaching(f"the address of the report of {window} of {name}"):
        run_id, experiment = monitoring_run(name), experiment_id(name)
    return f"{address()}/#/experiments/{experiment}/runs/{run_id}/artifacts/reports/{window_name(window)}.html"


def monitoring_run(name: str) -> str:
    """Id of the project's monitoring run, which is made if there is none; of two made at once, the older is used."""
    client = MlflowClient()
    experiment = experiment_id(name)
    if found := _monitoring_runs(client, experiment):
        return found[0]
    note = (
        f"What was measured on the live traffic of **{name}**: one step a window, at the day it ends. "
        "The reports stand under `reports/`, the figures of each window under `windows/`."
    )
    tags = {"everfit.kind": MONITORING, "mlflow.note.content": note}
    made = client.create_run(experiment, run_name=MONITORING, tags=tags)
    client.set_terminated(made.info.run_id)  # a run left open looks hung; figures can be added to it all the same
    return _monitoring_runs(client, experiment)[0]


def window_name(window: Window) -> str:
    """The window as part of a file name: `2013-04-01..2013-04-08`, with the hours if they are not midnight."""
    start, end = _utc(window.start), _utc(window.end)
    is_whole_days = all((moment - EPOCH) % DAY == timedelta(0) for moment in (start, end))
    return str(window) if is_whole_days else f"{start:%Y-%m-%dT%H%M}..{end:%Y-%m-%dT%H%M}"


def _monitoring_runs(client: MlflowClient, experiment: str) -> list[str]:
    wanted = f"tags.`everfit.kind` = '{MONITORING}'"
    found = client.search_runs([experiment], wanted, order_by=["attributes.start_time ASC"], max_results=10)
    return [run.info.run_id for run in found]


def _figures(facts: WindowFacts) -> list[tuple[str, float]]:
    """What can be drawn of a window: every fact that is a number, and how many there are of what is listed.

    What was not measured is left out.
    """
    figures = {field.name: getattr(facts, field.name) for field in fields(facts)}
    figures |= {name: len(figures[name]) for name in ("drifted_columns", "broken_columns", "breaks")}
    figures["unseen_share"] = max((c.unseen for c in facts.columns if c.unseen is not None), default=None)
    figures["outside_share"] = max((c.outside for c in facts.columns if c.outside is not None), default=None)
    numbers = {key: float(value) for key, value in figures.items() if isinstance(value, Real)}
    return [(key, value) for key, value in numbers.items() if math.isfinite(value)]


def _notes(name: str) -> list[LiveEntry]:
    """What was noted, in the order of time, each without its end."""
    with reaching(f"the live history of {name}"):
        found = [
            (int(item.version), json.loads(value))
            for item in registered(name)
            for tag, value in item.tags.items()
            if tag.startswith(LIVE)
        ]
    notes = [LiveEntry(number, datetime.fromisoformat(note["since"]), None, note["service"]) for number, note in found]
    return sorted(notes, key=lambda note: note.since)


def _unseen(moved: Sequence[Move], notes: Sequence[LiveEntry]) -> Iterator[LiveEntry]:
    """A stretch for each move that no note followed before the next move."""
    for at, move in enumerate(moved):
        later = moved[at + 1 :]
        following = [note for note in notes if note.since >= move.at and not (later and note.since >= later[0].at)]
        if move.version not in {note.version for note in following}:
            before = [note for note in notes if note.since <= move.at] or list(reversed(notes))
            yield LiveEntry(move.version, move.at, None, before[-1].service if before else "", is_seen=False)


def _move_behind(entry: LiveEntry, moved: Sequence[Move]) -> Move | None:
    earlier = [move for move in moved if move.at <= entry.since]
    return earlier[-1] if earlier and earlier[-1].version == entry.version else None


def _at(entries: Sequence[LiveEntry], moment: datetime, service: str | None) -> LiveEntry | None:
    earlier = [entry for entry in entries if entry.since <= moment and service in {None, entry.service}]
    return earlier[-1] if earlier else None


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(
            f"wanted a moment with its zone, found {moment.isoformat()} without one; add one, such as tzinfo=UTC"
        )
    return moment.astimezone(UTC)

"""The rows of the past that a policy is replayed over: what the ledger logged, or a raw table with timestamps."""

import logging
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from components.data.compaction import compact, table_path
from components.data.kinds import typed
from components.data.ledger import CHAMPION, LABELS, PREDICTIONS, segment_folder
from components.data.privacy import can_teach
from components.data.sources import read_source
from components.data.windows import newest_labels, read_window, scan_table
from components.errors import DataError, ModelNotFound, NotEnoughRows
from components.records.models import ModelFiles
from components.records.watching import Window
from components.registry import fetching, tracking, versions
from components.settings.base import PluginSettings
from components.settings.environment import Environment
from components.settings.project import Project

log = logging.getLogger(__name__)

ROWS = "rows.parquet"
BASE = "base.parquet"


@dataclass(frozen=True, slots=True)
class Past:
    """Rows of the past, kept as a file, and what is known about them.

    Attributes:
        rows: Parquet file with the rows from `begin` on by event time: features, timestamp, id and `label`, null where
            none ever came; from the ledger also what was answered, under the names of `read_window`.
        begin: Event time of the beginning (UTC).
        end: Event time of the newest row.
        label_delay: How long after a row's event time its label counts as known.
        origin: Where the rows come from, in words.
        base: Parquet file with the raw rows from before `begin`; None: the project's own source has them.
        logged: The version that answered first, of logged history; None for a raw table.
    """

    rows: Path
    begin: datetime
    end: datetime
    label_delay: timedelta
    origin: str
    base: Path | None = None
    logged: int | None = None

    def project(self, project: Project) -> Project:
        """The project, whose source holds the rows from before the replay."""
        if self.base is None:
            return project
        source = PluginSettings(class_path="components.data.sources.Parquet", init_args={"path": str(self.base)})
        return project.model_copy(update={"data": project.data.model_copy(update={"source": source})})


def has_logged(project: Project) -> bool:
    """Whether the ledger holds answers of the project's model."""
    ledger = Environment().ledger(project.name)
    return table_path(ledger, PREDICTIONS).exists() or any(segment_folder(ledger).glob("*"))


def logged_past(project: Project, folder: Path, *, begin: datetime | None, label_delay: timedelta | None) -> Past:
    """What the project's ledger logged.

    Args:
        project: The project.
        folder: Where the rows are put.
        begin: The replay begins here (UTC); None: with the first row.
        label_delay: How long labels take; None: the median of the labels that came.

    Raises:
        DataError: If nothing was logged, or not in a form that a model can learn from.
        ModelNotFound: If the registry has no champion.
        LedgerError: If the ledger cannot be read.
    """
    environment = Environment()
    tracking.connect(environment)
    ledger = environment.ledger(project.name)
    champion = versions.champion(project.name)
    if champion is None:
        raise ModelNotFound(
            f"a replay of logged history wants the champion of {project.name} in the registry, found none; make one "
            "with everfit train, or replay a raw table: --source CLASS or PATH, with --begin"
        )
    schema = fetching.fetch(champion, environment.cache()).schema
    if not can_teach(project, schema):
        raise DataError(
            f"a replay learns from the rows of the ledger {ledger}, but it does not hold all columns as they came "
            "(serving.private, serving.ledger_columns); replay a raw table: --source CLASS or PATH, with --begin"
        )
    compact(ledger, schema)
    first, last = _span(ledger, project)
    start = max(first, begin) if begin else first
    if start > last:
        raise _begins_outside(start, first, last)
    frame = read_window(ledger, Window(start, last + timedelta(microseconds=1)), schema=schema)
    return Past(
        rows=written(frame, folder / ROWS),
        begin=start if begin else start.replace(hour=0, minute=0, second=0, microsecond=0),
        end=last,
        label_delay=_median_delay(ledger) if label_delay is None else label_delay,
        origin=f"the ledger {ledger}",
        logged=int(frame["version"][0]),
    )


def raw_past(
    project: Project, folder: Path, *, source: str | None, begin: datetime | None, label_delay: timedelta | None
) -> Past:
    """A raw table: its rows before `begin` train the first model, those after it are the traffic.

    Args:
        project: The project.
        folder: Where the rows are put.
        source: A class path, or the path of a Parquet, CSV or Delta table; None: the project's own source.
        begin: Where the replay begins (UTC).
        label_delay: How long labels take; None: they are there at once.

    Raises:
        DataError: If `begin` is not there, or not between the first and the last row.
        SchemaMismatch: If the table has no timestamp or target, or other columns than the project file says.
        NotEnoughRows: If the source yields nothing.
        ProjectFileError: If the source's class is not there.
    """
    data = project.data if source is None else project.data.model_copy(update={"source": _source(source)})
    origin = data.source.class_path if source is None else source
    raw = read_source(data, project.file.parent)
    frame = typed(raw.drop(data.drop, strict=False), data, origin)
    when = frame[data.timestamp]
    first, last = when.min(), when.max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        raise NotEnoughRows(f"a replay wants rows with a {data.timestamp!r}, found none in {origin}; mend it")
    if begin is None:
        raise DataError(
            f"a replay of a raw table wants to know where it begins, found no --begin; its rows reach from "
            f"{first:%Y-%m-%d} to {last:%Y-%m-%d}: give a day between, before which the first model is trained"
        )
    if not first < begin <= last:
        raise _begins_outside(begin, first, last)
    base = written(raw.filter(when < begin), folder / BASE)
    label = pl.col(data.target.column).alias("label")
    return Past(
        rows=written(frame.filter(when >= begin).with_columns(label).drop(data.target.column), folder / ROWS),
        begin=begin,
        end=last,
        label_delay=label_delay or timedelta(0),
        origin=origin,
        base=base,
    )


def first_logged(project: Project, past: Past) -> ModelFiles:
    """The files of the version that answered when the replay begins."""
    environment = Environment()
    tracking.connect(environment)
    assert past.logged is not None
    return fetching.fetch(versions.version(project.name, past.logged), environment.cache())


def written(frame: pl.DataFrame, path: Path) -> Path:
    """The rows as a Parquet file, whole or not at all: another backtest may write the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    frame.write_parquet(unfinished)
    return unfinished.replace(path)


def _span(ledger: Path, project: Project) -> tuple[datetime, datetime]:
    rows = scan_table(ledger, PREDICTIONS).filter(pl.col("variant") == CHAMPION)
    first, last = rows.select(pl.col("event_time").min(), pl.col("event_time").max().alias("last")).collect().row(0)
    if first is None:
        raise DataError(
            f"a replay of logged history wants answers in the ledger {ledger}, found none; let {project.name} be "
            "asked first, or replay a raw table: --source CLASS or PATH, with --begin"
        )
    return first, last


def _median_delay(ledger: Path) -> timedelta:
    """Median time from an answer to its label; 0 without labels."""
    labels = newest_labels(scan_table(ledger, LABELS)).select("prediction_id", labelled_at="received_at")
    answers = scan_table(ledger, PREDICTIONS).select("prediction_id", "received_at")
    delay = answers.join(labels, on="prediction_id").select(pl.col("labelled_at") - pl.col("received_at"))
    median = delay.select(pl.all().median()).collect().item()
    return max(median, timedelta(0)) if median is not None else timedelta(0)


def _source(text: str) -> PluginSettings:
    """The source that a person means by a path or a class."""
    path = Path(text).expanduser()
    if path.exists():
        kind = "Csv" if path.suffix == ".csv" else "Delta" if (path / "_delta_log").is_dir() else "Parquet"
        init_args = {"path": str(path.resolve())}
        return PluginSettings(class_path=f"components.data.sources.{kind}", init_args=init_args)
    module, _, name = text.rpartition(".")
    if module and name.isidentifier() and all(part.isidentifier() for part in module.split(".")):
        return PluginSettings(class_path=text)
    raise DataError(
        f"--source wants a Parquet file, a CSV file, a Delta table or a class such as module.Class, found {text!r}, "
        "which is none of them; correct it"
    )


def _begins_outside(begin: datetime, first: datetime, last: datetime) -> DataError:
    return DataError(
        f"a replay must begin after the first row, so that there is something to learn from, and not after the last; "
        f"the rows reach from {first:%Y-%m-%d} to {last:%Y-%m-%d}, but --begin is {begin:%Y-%m-%d}: choose one between"
    )

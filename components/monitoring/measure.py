"""Measures a window of live traffic: drift, quality and missing values, as facts, a page and points on the dashboard.

What follows from the facts is not decided here, but in `deciding`.
"""

import logging
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl

from components.data.baselines import Baseline
from components.data.privacy import in_clear
from components.errors import DataError
from components.monitoring import report
from components.monitoring.answers import answer_facts, labelled_answers
from components.monitoring.breaks import breaks_of
from components.monitoring.columns import column_facts, judged, with_drift
from components.monitoring.guards import Sorted, fold, sample, sort_columns
from components.monitoring.importance import importances
from components.monitoring.quality import metric_named
from components.monitoring.references import answers_of, reference_answers
from components.monitoring.shifts import PREDICTION, Shift
from components.monitoring.sizes import measure_sizes
from components.monitoring.telling import tell
from components.records.models import ModelFiles
from components.records.watching import ColumnFacts, Requests, Window, WindowFacts
from components.settings.project import Project

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]

# A distribution of fewer rows than this is not worth a picture.
REPORT_ROWS = 50


@dataclass(frozen=True, slots=True, eq=False)
class _Measurement:
    """What was found, before it is told as facts, as a page and as points."""

    columns: tuple[ColumnFacts, ...]
    shifts: list[Shift]
    runs: list[Any]
    breaks: tuple[str, ...]


def measure(
    frame: pl.DataFrame,
    files: ModelFiles,
    project: Project,
    window: Window,
    *,
    workspace: Path | None,
    out: Path | None,
    baseline: Baseline | None = None,
    requests: Requests | None = None,
) -> WindowFacts:
    """The facts of one window, with a page about them and a point on the dashboard.

    Args:
        frame: The window's predictions as `components.data.windows.read_window` gives them: raw features, `prediction`,
            `probability` (or `probabilities`) and `label`, null where none has come.
        files: The version that gave most of the answers.
        project: Thresholds, metric and name.
        window: The stretch of event time, UTC.
        workspace: Evidently's workspace, to which the run is added; None: the same facts, with nothing drawn or stored.
        out: Folder for the page, an HTML file named after the window; None as well then.
        baseline: What the inputs are compared with; the version's training rows if not given.
        requests: What the endpoint was asked since the window before; None if nobody knows.

    Returns:
        Facts without drift and columns below `trigger.min_rows` rows and without quality below
        `trigger.min_labelled_rows` labels; without a page below 50 rows. `trained_until` is the newest time in the
        version's sample of its training rows: the registry knows it to the second.

    Raises:
        DataError: If the window has no zone.
        ProjectFileError: If the project's metric is unknown.
        ModelRefused: If the version cannot answer its own reference rows.
    """
    _check_times(window)
    metric_named(project.evaluation.metric)
    labelled = labelled_answers(frame) if frame.height else frame
    known = _known(frame, files, project, window, baseline, requests)
    facts = answer_facts(replace(known, labelled_rows=labelled.height), frame, files, project)
    if frame.is_empty():
        log.info("window measured project=%s window=%s rows=0", project.name, window)
        return facts
    drawn = labelled if facts.quality is not None else labelled.clear()
    found = _look(frame, drawn, files, project, baseline, draws=workspace is not None)
    facts = _facts(facts, found, project)
    if workspace is not None and out is not None and frame.height >= REPORT_ROWS:
        told = {"shifts": found.shifts, "columns": found.columns, "runs": found.runs}
        facts = replace(facts, report=str(tell(facts, project, **told, workspace=workspace, out=out)))
    log.info(
        "window measured project=%s window=%s rows=%d labelled=%d drift_share=%s quality=%s broken=%d",
        *(project.name, window, facts.rows, facts.labelled_rows, facts.drift_share, facts.quality),
        len(facts.broken_columns),
    )
    return facts


def _known(
    frame: pl.DataFrame,
    files: ModelFiles,
    project: Project,
    window: Window,
    baseline: Baseline | None,
    requests: Requests | None,
) -> WindowFacts:
    """What is known of the window before its rows are looked at."""
    return WindowFacts(
        window=window,
        version=files.version.version,
        rows=frame.height,
        labelled_rows=0,
        reference_quality=files.metrics.get(project.evaluation.metric),
        trained_until=_newest_time(files),
        reference=baseline.name if baseline else "training",
        requests=requests.asked if requests else None,
        failed_requests=requests.failed if requests else None,
        counted=requests.counted if requests else None,
    )


def _check_times(window: Window) -> None:
    for time in (window.start, window.end):
        if time.tzinfo is None:
            raise DataError(f"a window's times are UTC, but {time} has no zone; give it one, such as {time}+00:00")


def _newest_time(files: ModelFiles) -> datetime | None:
    """Of the training rows that travel with the version; None if they carry no time."""
    name = files.schema.timestamp
    if name not in pl.read_parquet_schema(files.reference):
        return None
    newest = pl.scan_parquet(files.reference).select(pl.col(name).max()).collect().item()
    return newest if isinstance(newest, datetime) and newest.tzinfo is not None else None


def _look(
    frame: pl.DataFrame,
    labelled: pl.DataFrame,
    files: ModelFiles,
    project: Project,
    baseline: Baseline | None,
    *,
    draws: bool,
) -> _Measurement:
    """Everything that is measured, on all rows where that is cheap and on a sample where it is not."""
    settings = project.monitoring
    trained = pl.read_parquet(files.reference)
    compared = baseline.rows if baseline else trained
    schema = in_clear(project, files.schema)
    in_season = baseline is not None and baseline.name == "same-season"
    columns = sort_columns(frame, compared, trained, schema, project, in_season=in_season)
    shifts: list[Shift] = []
    runs: list[Any] = []
    if frame.height >= REPORT_ROWS:
        window, reference = _with_answers(columns, frame, compared, files, settings.sample_rows)
        if window:
            shifts = measure_sizes(
                window, reference, threshold=settings.drift_threshold, thresholds=settings.column_thresholds
            )
            if draws:
                runs, shifts = report.draw_drift(window, reference, shifts)
            shifts = judged(shifts, window, reference, false_discoveries=settings.false_discoveries)
    if draws and _can_be_drawn(labelled, files):
        runs.append(report.measure_quality(_answers(labelled, files, settings.sample_rows), files.schema.target_kind))
    weights = importances(files, trained, list(columns.shares)) if frame.height >= REPORT_ROWS else {}
    breaks = breaks_of(frame, schema, project.data)
    return _Measurement(column_facts(columns, shifts, weights), shifts, runs, breaks)


def _can_be_drawn(labelled: pl.DataFrame, files: ModelFiles) -> bool:
    """Whether Evidently can draw the quality of these rows.

    It fails on one class alone, and takes classes of a multiclass target for a binary one when only two occur.
    """
    if labelled.height < REPORT_ROWS:
        return False
    if files.schema.target_kind != "multiclass":
        return files.schema.target_kind == "regression" or labelled["label"].n_unique() > 1
    return len({*labelled["label"].unique(), *answers_of(labelled, files)}) > 2


def _with_answers(
    columns: Sorted, frame: pl.DataFrame, compared: pl.DataFrame, files: ModelFiles, rows: int
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Sampled columns of the window and of the reference, the prediction among them if it can be measured."""
    now, then = (each[sample(each.height, rows).tolist()] for each in (frame, compared))
    answers = answers_of(now, files)
    if answers.dtype.kind == "f" and not np.isfinite(answers).any():
        return columns.window, columns.reference
    usual = reference_answers(files, then)
    if answers.dtype.kind != "f":
        answers, usual = fold(answers, usual)
    return columns.window | {PREDICTION: answers}, columns.reference | {PREDICTION: usual}


def _answers(labelled: pl.DataFrame, files: ModelFiles, rows: int) -> pd.DataFrame:
    """Labels and answers of a sample, in the types that Evidently's presets take."""
    drawn = labelled[sample(labelled.height, rows).tolist()]
    if files.schema.target_kind == "multiclass":
        return pd.DataFrame({"label": drawn["label"].to_list(), PREDICTION: answers_of(drawn, files)})
    kind = np.float64 if files.schema.target_kind == "regression" else np.int64
    columns = {name: drawn[name].to_numpy().astype(kind) for name in ("label", PREDICTION)}
    if files.schema.target_kind == "binary":
        columns["probability"] = answers_of(drawn, files)
    return pd.DataFrame(columns)


def _facts(known: WindowFacts, found: _Measurement, project: Project) -> WindowFacts:
    """The facts so far, with what may be said about drift at this number of rows."""
    facts = replace(
        known,
        broken_columns=tuple(column.name for column in found.columns if column.broken),
        breaks=found.breaks,
    )
    if facts.rows < project.monitoring.trigger.min_rows:
        return facts
    return with_drift(facts, found.columns, found.shifts)

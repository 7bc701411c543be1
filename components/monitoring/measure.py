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

from components.data.privacy import in_clear
from components.errors import DataError
from components.monitoring import report
from components.monitoring.guards import Sorted, sort_columns
from components.monitoring.quality import metric_named, quality_of
from components.monitoring.references import answers_of, reference_answers
from components.monitoring.report import PREDICTION, Shift
from components.monitoring.telling import tell
from components.records.models import ModelFiles
from components.records.watching import Window, WindowFacts
from components.settings.project import Project

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]

# A distribution of fewer rows than this is not worth a picture.
REPORT_ROWS = 50
# The same rows are drawn each time a window is measured, so that its facts can be repeated.
SAMPLE_SEED = 7


@dataclass(frozen=True, slots=True, eq=False)
class _Measurement:
    """What was found, before it is told as facts, as a page and as points."""

    columns: Sorted
    shifts: list[Shift]
    quality: float | None
    runs: list[Any]


def measure(
    frame: pl.DataFrame,
    files: ModelFiles,
    project: Project,
    window: Window,
    *,
    workspace: Path,
    out: Path,
    live_since: datetime | None = None,
) -> WindowFacts:
    """The facts of one window, with a page about them and a point on the dashboard.

    Args:
        frame: The window's predictions as `components.data.windows.read_window` gives them: raw features, `prediction`,
            `probability` (or `probabilities`) and `label`, null where none has come.
        files: The version that gave most of the answers.
        project: Thresholds, metric and name.
        window: The stretch of event time, UTC.
        workspace: Evidently's workspace, to which the run is added.
        out: Folder for the page, an HTML file named after the window.
        live_since: Event time since which that version is live, UTC.

    Returns:
        Facts without drift below `trigger.min_rows` rows and without quality below `trigger.min_labelled_rows` labels;
        without a page below 50 rows.

    Raises:
        DataError: If the window has no zone.
        ProjectFileError: If the project's metric is unknown.
        ModelRefused: If the version cannot answer its own reference rows.
    """
    _check_times(window)
    metric = project.evaluation.metric
    metric_named(metric)
    labelled = frame.filter(pl.col("label").is_not_null()) if frame.height else frame
    empty = WindowFacts(
        window=window,
        version=files.version.version,
        rows=frame.height,
        labelled_rows=labelled.height,
        reference_quality=files.metrics.get(metric),
        version_live_since=live_since,
    )
    if frame.is_empty():
        log.info("window measured project=%s window=%s rows=0", project.name, window)
        return empty
    found = _look(frame, labelled, files, project)
    facts = _facts(empty, found, project)
    if frame.height >= REPORT_ROWS:
        page = tell(
            facts,
            project,
            shifts=found.shifts,
            missing=found.columns.missing,
            runs=found.runs,
            workspace=workspace,
            out=out,
        )
        facts = replace(facts, report=str(page))
    log.info(
        "window measured project=%s window=%s rows=%d labelled=%d drift_share=%s quality=%s broken=%d",
        *(project.name, window, facts.rows, facts.labelled_rows, facts.drift_share, facts.quality),
        len(facts.broken_columns),
    )
    return facts


def _check_times(window: Window) -> None:
    for time in (window.start, window.end):
        if time.tzinfo is None:
            raise DataError(f"a window's times are UTC, but {time} has no zone; give it one, such as {time}+00:00")


def _look(frame: pl.DataFrame, labelled: pl.DataFrame, files: ModelFiles, project: Project) -> _Measurement:
    """Everything that is measured, on all rows where that is cheap and on a sample where it is not."""
    settings = project.monitoring
    reference = pl.read_parquet(files.reference)
    columns = sort_columns(
        frame, reference, in_clear(project, files.schema), broken_share=settings.trigger.broken_share
    )
    shifts: list[Shift] = []
    runs = []
    if frame.height >= REPORT_ROWS:
        sides = _sides(frame, reference, columns, files, settings.sample_rows)
        if sides[0]:
            run, shifts = report.measure_drift(
                *sides, threshold=settings.drift_threshold, thresholds=settings.column_thresholds
            )
            runs.append(run)
    quality = None
    if labelled.height >= settings.trigger.min_labelled_rows:
        quality = quality_of(labelled, files.schema, project.evaluation.metric)
    if quality is not None and _can_be_drawn(labelled, files):
        runs.append(report.measure_quality(_answers(labelled, files, settings.sample_rows), files.schema.target_kind))
    return _Measurement(columns, shifts, quality, runs)


def _can_be_drawn(labelled: pl.DataFrame, files: ModelFiles) -> bool:
    """Whether Evidently can draw the quality of these rows.

    It fails on one class alone, and takes classes of a multiclass target for a binary one when only two occur.
    """
    if labelled.height < REPORT_ROWS:
        return False
    if files.schema.target_kind != "multiclass":
        return files.schema.target_kind == "regression" or labelled["label"].n_unique() > 1
    return len({*labelled["label"].unique(), *answers_of(labelled, files)}) > 2


def _sides(
    frame: pl.DataFrame, reference: pl.DataFrame, columns: Sorted, files: ModelFiles, rows: int
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Sampled columns of the window and of the reference, the prediction among them if it can be measured."""
    now, then = _sample(frame.height, rows), _sample(reference.height, rows)
    window = {name: values[now] for name, values in columns.window.items()}
    training = {name: values[then] for name, values in columns.reference.items()}
    answers = answers_of(frame[now.tolist()], files)
    if answers.dtype.kind != "f" or np.isfinite(answers).any():
        window[PREDICTION] = answers
        training[PREDICTION] = reference_answers(files, reference[then.tolist()])
    # A column that holds values in few rows may hold none in the sample, and Evidently wants at least one.
    usable = [name for name in window if not (_is_empty(window[name]) or _is_empty(training[name]))]
    return {name: window[name] for name in usable}, {name: training[name] for name in usable}


def _sample(rows: int, most: int) -> Array:
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(SAMPLE_SEED).choice(rows, most, replace=False))


def _is_empty(values: Array) -> bool:
    return bool(np.isnan(values).all() if values.dtype.kind == "f" else (values == "").all())


def _answers(labelled: pl.DataFrame, files: ModelFiles, rows: int) -> pd.DataFrame:
    """Labels and answers of a sample, in the types that Evidently's presets take."""
    drawn = labelled[_sample(labelled.height, rows).tolist()]
    if files.schema.target_kind == "multiclass":
        return pd.DataFrame({"label": drawn["label"].to_list(), PREDICTION: answers_of(drawn, files)})
    kind = np.float64 if files.schema.target_kind == "regression" else np.int64
    columns = {name: drawn[name].to_numpy().astype(kind) for name in ("label", PREDICTION)}
    if files.schema.target_kind == "binary":
        columns["probability"] = answers_of(drawn, files)
    return pd.DataFrame(columns)


def _facts(empty: WindowFacts, found: _Measurement, project: Project) -> WindowFacts:
    """The facts so far, with what may be said about drift at this number of rows."""
    inputs = [shift for shift in found.shifts if shift.column != PREDICTION]
    drifted = tuple(shift.column for shift in inputs if shift.has_drifted)
    says_drift = empty.rows >= project.monitoring.trigger.min_rows
    answers = [shift.has_drifted for shift in found.shifts if shift.column == PREDICTION]
    return replace(
        empty,
        drifted_columns=drifted if says_drift else (),
        drift_share=len(drifted) / len(inputs) if says_drift and inputs else None,
        prediction_drifted=answers[0] if says_drift and answers else None,
        broken_columns=found.columns.broken,
        quality=found.quality,
    )

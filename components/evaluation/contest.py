"""Candidate against champion: both graphs answer the same rows, then `judge` decides.

A graph that cannot be run, or that wants columns the rows do not hold, loses no flow: it becomes a verdict with the
reason. Promotion itself is the registry's business.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars

from components.data.overlaps import seen_share
from components.data.tables import content_sha256
from components.errors import EverfitError
from components.evaluation.comparators import fit_comparator
from components.evaluation.evidence import Answered, JudgedRows, LabelledRows, RowAnswers
from components.evaluation.intervals import SEED, Answers
from components.evaluation.judging import judge, unanswered
from components.evaluation.metrics import metric_named
from components.evaluation.predicting import Array, Outputs, predict
from components.evaluation.slicing import slice_labels
from components.evaluation.truths import true_answers
from components.records.models import Footprint
from components.records.rows import Part, Schema, Split
from components.records.scores import Rule, Verdict
from components.settings.evaluation import EvaluationSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Contender:
    """One side of a contest.

    Attributes:
        graph: ONNX file from raw row to prediction.
        schema: The schema that the graph was exported with.
        behaviours: The candidate's behaviour tests, each with its numbers; None if they were not run.
        footprint: What the candidate's graph costs on this machine; None if it was not measured.
        megabytes: Size of the candidate's graph in MB (10^6 bytes); None if it is not known.
    """

    graph: Path
    schema: Schema
    behaviours: tuple[Rule, ...] | None = None
    footprint: Footprint | None = None
    megabytes: float | None = None


@dataclass(frozen=True, slots=True)
class _Rows:
    """A part as it was read: its rows, and the hash of what was really in the file."""

    frame: polars.DataFrame
    sha256: str


def contest(candidate: Contender, champion: Contender | None, split: Split, settings: EvaluationSettings) -> Verdict:
    """The verdict on the candidate after both sides have answered the split's test rows and its holdout.

    Args:
        candidate: The new version, which learned from the split's training rows.
        champion: The version that is live; None while there is none.
        split: The rows on which both are judged, and those that the candidate and its simple comparator learned from.
        settings: What good means.

    Raises:
        ProjectFileError: If the metric does not exist for this kind of target.
        SchemaMismatch: If the rows have no usable labels.
    """
    metric_named(settings.metric, candidate.schema.target_kind)
    classes = known_classes(candidate, champion)
    recent, holdout = _read(split.test), _read(split.holdout) if split.holdout else None
    rows = _judged_rows(recent, holdout, split, replace(candidate.schema, classes=classes), settings)
    sides: dict[str, Answered] = {}
    for side, contender in (("candidate", candidate), ("champion", champion)):
        if contender is not None:
            try:
                sides[side] = _answered(contender, recent, holdout, classes)
            except EverfitError as err:
                log.warning("contest refused side=%s graph=%s reason=%s", side, contender.graph, err)
                return unanswered(side, str(err), settings, rows.recent)
    simple = _comparator_answers(settings.gate.beat, split, recent.frame, classes)
    return judge(replace(sides["candidate"], comparator=simple), sides.get("champion"), rows, settings)


def _read(part: Part) -> _Rows:
    frame = polars.read_parquet(part.path)
    return _Rows(frame, content_sha256(frame))


def _judged_rows(
    recent: _Rows, holdout: _Rows | None, split: Split, schema: Schema, settings: EvaluationSettings
) -> JudgedRows:
    """What is true of the rows, under the hashes that the split knows them by."""
    old = None
    if holdout is not None and split.holdout is not None:
        old = LabelledRows(true_answers(holdout.frame, schema), split.holdout.sha256)
    return JudgedRows(
        recent=LabelledRows(true_answers(recent.frame, schema), split.test.sha256),
        holdout=old,
        seen=_seen(split, schema),
        slices=_labels(recent.frame, settings.slices),
        groups=_labels(recent.frame, settings.groups),
    )


def _seen(split: Split, schema: Schema) -> Mapping[str, float]:
    """How much of each part stands in what the candidate learned from, or was chosen on before it is judged."""
    judged = {"test": split.test, **({"holdout": split.holdout} if split.holdout else {})}
    return {
        "validation": seen_share(split.validation, split.train, schema),
        **{
            name: max(seen_share(part, split.train, schema), seen_share(part, split.validation, schema))
            for name, part in judged.items()
        },
    }


def _labels(frame: polars.DataFrame, names: tuple[str, ...]) -> Mapping[str, Array]:
    """The slice of each row, by column; a column that is not there is left out, and the judge says so."""
    return {name: slice_labels(frame[name]).to_numpy() for name in names if name in frame.columns}


def known_classes(candidate: Contender, champion: Contender | None) -> tuple[str, ...]:
    """The classes either side knows: a version trained on newer rows may know one more."""
    others = champion.schema.classes if champion is not None else ()
    return candidate.schema.classes + tuple(name for name in others if name not in candidate.schema.classes)


def _answered(contender: Contender, recent: _Rows, holdout: _Rows | None, classes: tuple[str, ...]) -> Answered:
    return Answered(
        recent=_row_answers(contender, recent, classes),
        holdout=_row_answers(contender, holdout, classes) if holdout is not None else None,
        behaviours=contender.behaviours,
        footprint=contender.footprint,
        megabytes=contender.megabytes,
    )


def _row_answers(contender: Contender, rows: _Rows, classes: tuple[str, ...]) -> RowAnswers:
    outputs = predict(contender.graph, rows.frame, contender.schema)
    return RowAnswers(widened(outputs, contender.schema, classes), rows.sha256)


def _comparator_answers(name: str, split: Split, frame: polars.DataFrame, classes: tuple[str, ...]) -> Answers | None:
    """What the simple model answers that the candidate must beat; None if there is none, or it cannot be made."""
    if name == "none":
        return None
    try:
        outputs = fit_comparator(name, split.train, split.schema, seed=SEED).answers(frame)
    except EverfitError as err:
        log.warning("comparator failed, so nothing will be promoted name=%s reason=%s", name, err)
        return None
    return widened(outputs, split.schema, classes)


def widened(outputs: Outputs, schema: Schema, classes: tuple[str, ...]) -> Answers:
    """The answers with the classes numbered as in `classes`; a class that the model never saw has probability 0."""
    if schema.target_kind != "multiclass":
        return Answers(outputs.prediction, outputs.probability)
    place = np.array([classes.index(name) for name in schema.classes])
    assert outputs.probability is not None
    probability: Array = np.zeros((outputs.prediction.shape[0], len(classes)))
    probability[:, place] = outputs.probability
    return Answers(place[outputs.prediction], probability)

"""Candidate against champion: both graphs answer the same rows, then `judge` decides.

A graph that cannot be run, or that wants columns the rows do not hold, loses no flow: it becomes a verdict with the
reason. Promotion itself is the registry's business.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars

from components.errors import EverfitError
from components.evaluation.judging import Scored, judge, unanswered
from components.evaluation.metrics import metric_named
from components.evaluation.predicting import Array, Outputs, predict
from components.evaluation.truths import true_answers
from components.records.rows import Part, Schema
from components.records.scores import Rule, Verdict
from components.settings.evaluation import EvaluationSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Contender:
    """One side of a contest: its graph, and the schema that the graph was exported with."""

    graph: Path
    schema: Schema


def contest(candidate: Contender, champion: Contender | None, part: Part, settings: EvaluationSettings) -> Verdict:
    """The verdict on the candidate after both sides have answered the rows of `part`.

    Args:
        candidate: The new version.
        champion: The version that is live; None while there is none.
        part: The labelled rows on which both are judged; neither may have learnt from them.
        settings: What good means.

    Raises:
        ProjectFileError: If the metric does not exist for this kind of target.
        SchemaMismatch: If the rows have no usable labels.
    """
    metric_named(settings.metric, candidate.schema.target_kind)
    frame = polars.read_parquet(part.path)
    classes = _classes(candidate, champion)
    truth = true_answers(frame, replace(candidate.schema, classes=classes))
    sides: dict[str, Scored | None] = {"champion": None}
    for side, contender in (("candidate", candidate), ("champion", champion)):
        if contender is not None:
            try:
                answers = _answers(contender, frame, classes)
                sides[side] = Scored(truth, answers.prediction, answers.probability, part.sha256)
            except EverfitError as err:
                log.warning("contest refused side=%s graph=%s reason=%s", side, contender.graph, err)
                rule = Rule(f"{side}_answers", False, f"the {side} must answer the rows of {part.path.name}: {err}")
                return unanswered(rule, settings, rows=part.rows, table_sha256=part.sha256)
    assert sides["candidate"] is not None
    return judge(sides["candidate"], sides["champion"], settings)


def _classes(candidate: Contender, champion: Contender | None) -> tuple[str, ...]:
    """The classes either side knows: a version trained on newer rows may know one more."""
    others = champion.schema.classes if champion is not None else ()
    return candidate.schema.classes + tuple(name for name in others if name not in candidate.schema.classes)


def _answers(contender: Contender, frame: polars.DataFrame, classes: tuple[str, ...]) -> Outputs:
    outputs = predict(contender.graph, frame, contender.schema)
    own = contender.schema.classes
    return _widen(outputs, own, classes) if contender.schema.target_kind == "multiclass" else outputs


def _widen(outputs: Outputs, own: tuple[str, ...], classes: tuple[str, ...]) -> Outputs:
    """The answers with the classes numbered as in `classes`; a class that the model never saw has probability 0."""
    place = np.array([classes.index(name) for name in own])
    assert outputs.probability is not None
    probability: Array = np.zeros((outputs.prediction.shape[0], len(classes)))
    probability[:, place] = outputs.probability
    return Outputs(place[outputs.prediction], probability)

"""The models of a backtest with what each answers, shared by all strategies that are replayed."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from components.cost.costs import training_cost
from components.data.kinds import typed
from components.errors import EverfitError
from components.evaluation.contest import Contender, contest
from components.evaluation.predicting import Array, Outputs, predict
from components.records.models import ModelFiles, ModelVersion
from components.records.scores import Verdict
from components.settings.evaluation import EvaluationSettings
from components.settings.project import Project
from flows.backtesting.making import Made, Workbench, digest
from flows.backtesting.past import Past, written

# What `read_window` gives beside the raw columns: no model may learn from it.
ANSWERS = (
    *("prediction", "probability", "probabilities", "version", "prediction_id", "request_id", "received_at"),
    *("latency_ms", "labelled_at", "is_contradicted"),
)


# Digest of the settings, moment, and key of the champion whose weights it begins with.
Order = tuple[str, datetime, str]


@dataclass(frozen=True, slots=True)
class Model:
    """A model of a replay.

    Attributes:
        files: Graph, schema, reference and figures, as the registry would hold them.
        knows_from: It may answer rows from this event time on: what came before it may have learned from.
        made: How it was made; None of the version that logged history began with.
    """

    files: ModelFiles
    knows_from: datetime
    made: Made | None = None

    @property
    def number(self) -> int:
        """By which a replay knows it."""
        return self.files.version.version


@dataclass(frozen=True, slots=True, eq=False)
class AnsweredRows:
    """Rows by event time, and what a model answers to them."""

    frame: pl.DataFrame
    outputs: Outputs

    def at(self, rows: Array) -> "AnsweredRows":
        """Some of the rows, by a mask of shape (rows,)."""
        probability = None if self.outputs.probability is None else self.outputs.probability[rows]
        return AnsweredRows(self.frame.filter(pl.Series(rows)), Outputs(self.outputs.prediction[rows], probability))

    def between(self, start: datetime, end: datetime, timestamp: str) -> "AnsweredRows":
        """The rows of a stretch of event time."""
        return self.at(self.frame[timestamp].is_between(start, end, closed="left").to_numpy())

    def labelled(self) -> "AnsweredRows":
        """The rows with a label."""
        return self.at(self.frame["label"].is_not_null().to_numpy())


@dataclass
class Shelf:
    """All models of a backtest with what they answer, shared by the strategies that are replayed.

    Attributes:
        past: The rows.
        frame: The same in memory, by event time.
        bench: Where models are made.
        timestamp: Name of the column with the event time.
        orders: What came of each order: its settings, moment and champion, as `made` notes them.
        models: The models that were asked for, by their numbers.
    """

    past: Past
    frame: pl.DataFrame
    bench: Workbench
    timestamp: str
    orders: dict[Order, Made | EverfitError] = field(default_factory=dict)
    models: dict[int, Model] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    _answers: dict[int, AnsweredRows] = field(default_factory=dict)
    _verdicts: dict[tuple[int, int, str], Verdict] = field(default_factory=dict)

    @classmethod
    def of(
        cls, project: Project, past: Past, bench: Workbench, orders: dict[Order, Made | EverfitError] | None = None
    ) -> "Shelf":
        """The shelf with the rows read, no model on it, and what came of orders before."""
        timestamp = project.data.timestamp
        frame = pl.read_parquet(past.rows).sort(timestamp, maintain_order=True)
        return cls(past, frame, bench, timestamp, orders or {})

    def put(self, model: Model) -> Model:
        """The model, from now on known by its number."""
        self.models[model.number] = model
        return model

    def first(self, project: Project, logged: ModelFiles | None) -> Model:
        """The model that the replay begins with: the version that history began with, or one made of older rows."""
        if logged is not None:
            return self.put(Model(logged, self.past.begin))
        return self.put(_model(project, self.bench.first(self.past.begin), 1, self.past.begin))

    def candidate(self, project: Project, until: datetime, live: Model) -> Model:
        """What a retraining at that time would have made; its number is the same whoever asks.

        Args:
            project: The project with the policy that is replayed.
            until: When.
            live: The model that is live then.

        Raises:
            EverfitError: If it would have failed.
        """
        made = self.made(project, until, live.made if project.monitoring.retrain.start == "champion" else None)
        number = self._numbers.setdefault(made.key, max(self.models) + 1)
        return self.models.get(number) or self.put(_model(project, made, number, until))

    def made(self, project: Project, until: datetime, champion: Made | None = None) -> Made:
        """The same as it lies on disk, made once; a failure is not tried again."""
        order = (digest(project), until, champion.key if champion else "")
        if order not in self.orders:
            try:
                self.orders[order] = self.bench.candidate(project, until, self._live(project, until), champion)
            except EverfitError as err:
                self.orders[order] = err
        found = self.orders[order]
        if isinstance(found, EverfitError):
            raise found
        return found

    def _live(self, project: Project, until: datetime) -> Path | None:
        """What the ledger would have held by then to learn from; None if nothing."""
        known = self.known(until).drop_nulls("label").rename({"label": project.data.target.column})
        path = self.past.rows.with_name(f"live-{until:%Y%m%dT%H%M}.parquet")
        return written(known.select(pl.exclude(ANSWERS)), path) if known.height else None

    def known(self, until: datetime) -> pl.DataFrame:
        """The rows from before that moment, with the labels that are known by then."""
        when = pl.col(self.timestamp)
        rows = self.frame.filter(when < until)
        return rows.with_columns(pl.when(when + self.past.label_delay <= until).then("label").alias("label"))

    def answered(self, model: Model, start: datetime, end: datetime) -> AnsweredRows:
        """The rows of a stretch of time with the model's answers and all labels."""
        if model.number not in self._answers:
            later = self.frame.filter(pl.col(self.timestamp) >= model.knows_from)
            self._answers[model.number] = AnsweredRows(later, predict(model.files.graph, later, model.files.schema))
        return self._answers[model.number].between(start, end, self.timestamp)

    def rows(self, start: datetime, end: datetime, project: Project) -> pl.DataFrame:
        """The rows of a stretch of time, those from before the replay among them where a raw table has them."""
        frames = [self.frame]
        if self.past.base is not None:
            raw = pl.read_parquet(self.past.base)
            frames.append(typed(raw.drop(project.data.drop, strict=False), project.data, self.past.origin))
        when = pl.col(self.timestamp)
        return pl.concat([one.filter((when >= start) & (when < end)) for one in frames], how="diagonal")

    def verdict(self, candidate: Model, champion: Model, settings: EvaluationSettings) -> Verdict:
        """The judge's verdict, which is the same for every strategy."""
        key = (candidate.number, champion.number, settings.model_dump_json())
        if key not in self._verdicts:
            made = candidate.made
            assert made is not None
            side = Contender(candidate.files.graph, candidate.files.schema, made.behaviours)
            other = Contender(champion.files.graph, champion.files.schema)
            self._verdicts[key] = contest(side, other, made.split, settings)
        return self._verdicts[key]


def columns_of(outputs: Outputs) -> list[pl.Series]:
    """A model's answers as the ledger's columns."""
    found, nothing = outputs.probability, pl.Series("probability", [None] * len(outputs.prediction), pl.Float64)
    answers = [pl.Series("prediction", outputs.prediction)]
    if found is None:
        return [*answers, nothing]
    if found.ndim == 1:
        return [*answers, pl.Series("probability", found)]
    return [*answers, nothing, pl.Series("probabilities", np.asarray(found).tolist())]


def _model(project: Project, made: Made, number: int, knows_from: datetime) -> Model:
    """The model as if it had been registered and fetched."""
    files = ModelFiles(
        version=ModelVersion(project.name, number, run_id="", sha256=made.variant.sha256),
        graph=made.variant.path,
        schema=made.variant.schema,
        reference=made.split.reference.path,
        metrics=made.metrics | _price(project, made.fitted.seconds),
        config_sha256=project.sha256,
    )
    return Model(files, knows_from, made)


def _price(project: Project, seconds: float) -> dict[str, float]:
    """The price of its training, under the name that a scorecard has for it; nothing without a price."""
    price = training_cost(seconds, project.cost.train_hour)
    return {"training_cost": price} if price else {}

"""Makes the models that a retraining would have made, with the functions a retraining uses, and keeps them.

Ingest, checks, split, fit, export: the same rows give the same model, so one that was made before is not made again,
by another policy or another day. Left out is only what a replay cannot need: other variants than fp32 and what they
cost on this machine, pictures, the registry, and the sandbox.
"""

import fcntl
import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock

import msgspec
import polars as pl

from components.data import leaks, splits, tables
from components.data import schema as schemas
from components.evaluation import behaviours
from components.evaluation.metrics import measure_all
from components.evaluation.predicting import predict
from components.evaluation.truths import true_answers
from components.optimization.export import export
from components.records.models import FittedModel, Variant
from components.records.rows import Schema, Split, TableVersion
from components.records.scores import Rule
from components.settings.project import Project
from components.training.fit import fit_model

log = logging.getLogger(__name__)

MADE = "made.json"
# Raised by hand when a model would come out differently from the same rows and settings: older ones are made again.
RECIPE = 1


@dataclass(frozen=True, slots=True)
class Made:
    """A model that was made for a backtest, on disk.

    Attributes:
        key: What it was made from, as a hash.
        split: Its rows.
        variant: Its graph, float32.
        metrics: Its figures on its own test part.
        behaviours: The behaviour tests of the project file.
        fitted: What its training left.
    """

    key: str
    split: Split
    variant: Variant
    metrics: dict[str, float]
    behaviours: tuple[Rule, ...]
    fitted: FittedModel


class Workbench:
    """Where models are made for a backtest, each once.

    Args:
        project: The project, whose source holds the rows from before the replay.
        folder: Where the models are kept.

    Attributes:
        folder: The same.
    """

    def __init__(self, project: Project, folder: Path) -> None:
        self._project = project
        self.folder = folder.resolve()
        self._exporting = Lock()
        self.folder.mkdir(parents=True, exist_ok=True)

    def first(self, until: datetime) -> Made:
        """The model that `train` makes of the rows before that time; errors as for `candidate`."""
        return self._made(_Order(self._project, until, is_first=True))

    def candidate(self, project: Project, until: datetime, live: Path | None, champion: Made | None) -> Made:
        """The model that a retraining makes.

        Args:
            project: The project with the policy that is replayed.
            until: Rows before this event time are used (UTC).
            live: Parquet file of the live rows whose labels have come by then; None if there are none.
            champion: The model to begin with, where the policy asks for that; None: with fresh weights.

        Raises:
            DataError: If the rows are not what the project file says, or too few.
            TrainingFailed: If the training ends without a model.
            ModelRefused: If the graph differs from the network.
        """
        return self._made(_Order(project, until, live, champion))

    def _made(self, order: "_Order") -> Made:
        with self._scratch(order) as scratch:
            table = tables.ingest(order.project, scratch / "table", until=order.until, extra=order.live)
            key = order.key(table)
            folder = self.folder / key
            with _alone(self.folder / f"{key}.lock"):
                if not (folder / MADE).exists():
                    self._make(order, table, folder)
            return msgspec.json.decode(
                (folder / MADE).read_bytes(), type=Made, dec_hook=lambda kind, value: kind(value)
            )

    @contextmanager
    def _scratch(self, order: "_Order") -> Iterator[Path]:
        """A folder for the table, which nobody needs once it is divided."""
        folder = Path(tempfile.mkdtemp(prefix=f".{order.until:%Y%m%dT%H%M}-", dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _make(self, order: "_Order", table: TableVersion, folder: Path) -> None:
        project = order.project
        split = _split(table, _checked(table, project), order, folder / "split")
        halved = None if order.is_first else project.monitoring.retrain.halved
        start = order.beginning(split)
        fitted = fit_model(split, project.training, folder / "fit", start=start, half_life=halved)
        variant = self._exported(fitted, split, project, folder / "graph")
        frame = pl.read_parquet(split.test.path)
        outputs = predict(variant.path, frame, variant.schema)
        truth = true_answers(frame, variant.schema)
        made = Made(
            key=folder.name,
            split=split,
            variant=variant,
            metrics=measure_all(variant.schema.target_kind, truth, outputs.prediction, outputs.probability),
            behaviours=behaviours.run_behaviours(variant.path, frame, variant.schema, project.evaluation),
            fitted=fitted,
        )
        unfinished = folder / f".{MADE}"
        unfinished.write_bytes(msgspec.json.encode(made, enc_hook=str))
        unfinished.replace(folder / MADE)

    def _exported(self, fitted: FittedModel, split: Split, project: Project, folder: Path) -> Variant:
        with self._exporting:  # torch's exporter changes settings of the whole process while it works
            return export(fitted, split, project.optimization, folder, project=project.name)


@dataclass(frozen=True, slots=True)
class _Order:
    """What a model is to be made of; arguments as for `Workbench.candidate`."""

    project: Project
    until: datetime
    live: Path | None = None
    champion: Made | None = None
    is_first: bool = False

    def key(self, table: TableVersion) -> str:
        """Hash of all that the model depends on."""
        champion = self.champion.key if self.champion else None
        facts = [RECIPE, table.sha256, digest(self.project), champion, self.is_first]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    def beginning(self, split: Split) -> FittedModel | None:
        """The champion's weights, unless it learned from rows on which this model is chosen and judged."""
        if self.champion is None or self.champion.split.train.last >= split.validation.first:
            return None
        return self.champion.fitted


def digest(project: Project) -> str:
    """Hash of the settings that decide which model comes of given rows."""
    facts = [
        project.data.model_dump_json(exclude={"source"}),
        project.training.model_dump_json(),
        project.optimization.model_dump_json(include={"calibration", "budget"}),
        project.evaluation.model_dump_json(include={"behaviours"}),
        project.monitoring.retrain.model_dump_json(),
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _checked(table: TableVersion, project: Project) -> Schema:
    frame = tables.read_table(table)
    schema = schemas.infer_schema(frame, project.data)
    schemas.check_frame(frame, schema, where=str(table.path), data=project.data)
    leaks.check_leaks(frame, schema, project.data)
    return schema


def _split(table: TableVersion, schema: Schema, order: _Order, folder: Path) -> Split:
    if order.is_first:
        return splits.split(table, schema, order.project, folder)
    retrain = order.project.monitoring.retrain
    return splits.split(
        table,
        schema,
        order.project,
        folder,
        test_days=retrain.judge_days,
        validation_days=retrain.validation_days,
        length=retrain.newest,
        half_life=retrain.halved,
    )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """While nobody else makes the same model, in this process or in another."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

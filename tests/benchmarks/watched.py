"""Models and windows for the proofs of the policy: real rows, models made as the project makes them, no server.

A model is made by the functions that `train` calls: ingest, infer the schema, split by time, fit, export; its graph
answers the rows as the endpoint would. Windows are measured by `measure` and decided on by `decide`.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import polars as pl

from components.data import schema as schemas
from components.data import splits, tables
from components.data.baselines import Baseline
from components.data.sources import read_source
from components.evaluation.metrics import measure_all
from components.evaluation.predicting import predict
from components.evaluation.truths import true_answers
from components.monitoring.columns import with_drift
from components.monitoring.deciding import decide
from components.monitoring.measure import measure
from components.monitoring.significance import discoveries
from components.optimization.export import export
from components.records.models import ModelFiles, ModelVersion
from components.records.rows import Schema
from components.records.watching import Decision, History, Retraining, Window, WindowFacts
from components.settings.base import PluginSettings
from components.settings.monitoring import MonitoringSettings
from components.settings.project import Project
from components.settings.reading import load_project
from components.training.fit import fit_model

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache"
FLIGHTS = ROOT / "deploy" / "projects" / "flight-delays.yaml"
NANNYML = "0.13.1"
BEGIN = datetime(2013, 5, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Live:
    """A model that answers, and the project it is watched by.

    Attributes:
        project: The project.
        files: The model's files, as the registry would give them.
    """

    project: Project
    files: ModelFiles

    def under(self, policy: MonitoringSettings) -> "Live":
        """The same model, watched by another policy."""
        return replace(self, project=self.project.model_copy(update={"monitoring": policy}))

    def answer(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows as the ledger gives them back: raw, with the graph's answers, each with its label."""
        types = {"number": pl.Float64, "category": pl.String}
        features = self.files.schema.features
        rows = rows.with_columns(pl.col(column.name).cast(types[column.kind]) for column in features)
        outputs = predict(self.files.graph, rows, self.files.schema)
        label = pl.col(self.files.schema.target).cast(pl.Int64).alias("label")
        when = pl.col(self.files.schema.timestamp)
        return rows.with_columns(
            pl.Series("prediction", outputs.prediction),
            pl.Series("probability", outputs.probability),
            label,
            pl.lit(self.files.version.version, dtype=pl.Int64).alias("version"),
            received_at=when,
            labelled_at=pl.when(label.is_not_null()).then(when + timedelta(days=3)),
            is_contradicted=pl.lit(value=False),
            latency_ms=pl.lit(5.0),
        ).drop(self.files.schema.target)

    def measure(self, rows: pl.DataFrame, window: Window, baseline: Baseline | None = None) -> WindowFacts:
        """The facts of one window of answered rows; nothing is drawn."""
        return measure(rows, self.files, self.project, window, workspace=None, out=None, baseline=baseline)


def flights_project() -> Project:
    """The demo's project."""
    return load_project(FLIGHTS)


def year_of_flights(project: Project) -> pl.DataFrame:
    """All flights of 2013 that have a label, with the columns of the project."""
    source = project.data.source.model_copy(update={"init_args": {}})
    raw = read_source(project.data.model_copy(update={"source": source}), project.file.parent)
    return raw.drop(project.data.drop).drop_nulls(project.data.target.column)


def acs_project(policy: MonitoringSettings) -> Project:
    """Is a person of Massachusetts employed? The American Community Survey, as the package nannyml has it."""
    return Project.model_validate(
        {
            "name": "acs-employment",
            "data": {
                "source": {"class_path": "components.data.sources.Parquet"},
                "target": {"column": "employed", "kind": "binary"},
                "timestamp": "at",
                "id": "id",
                "split": {"test_days": 60, "validation_days": 30},
            },
            "training": {"max_epochs": 3, "keep": "last", "learning_rate": 3e-3},
            "monitoring": policy.model_dump(),
            "file": ROOT / "acs-employment.yaml",
            "sha256": "0" * 64,
        }
    )


def acs_years(rng: np.random.Generator | None = None) -> pl.DataFrame:
    """277,677 people of 2015 to 2018, each year's evenly over its days; downloaded once, 23 MB.

    Args:
        rng: Puts the people of each year in an order of chance; None leaves them as they are filed. The survey says the
            year and no more, and the files of 2017 and 2018 hold all who live in institutions in one block, 5,000 in a
            row, where else they are 7 in 100.
    """
    folder = CACHE / f"nannyml-{NANNYML}"
    if not folder.exists():
        wanted = ["install", "--quiet", "--no-deps", "--target", str(folder), f"nannyml=={NANNYML}"]
        subprocess.run(["uv", "pip", *wanted], check=True)
    data = folder / "nannyml" / "datasets" / "data"
    first = pl.read_parquet(data / "employment_MA_reference.pq")
    later = pl.read_parquet(data / "employment_MA_analysis.pq")
    later = later.join(pl.read_parquet(data / "employment_MA_analysis_target.pq"), on="id")
    columns = [name for name in first.columns if not name.startswith("predict")]
    rows = pl.concat([part.select(columns).cast({pl.Categorical: pl.String}) for part in (first, later)])
    if rng is not None:
        rows = rows[rng.permutation(rows.height)].sort("year", maintain_order=True)
    share = (pl.int_range(pl.len()) / pl.len()).over("year")
    start = pl.datetime("year", 1, 1, time_unit="us", time_zone="UTC")
    at = start + pl.duration(seconds=share * 365 * 86_400)
    return rows.with_columns(at.alias("at"), pl.col("id").cast(pl.String)).drop("year").sort("at", maintain_order=True)


def make(project: Project, rows: pl.DataFrame, folder: Path, *, number: int = 1) -> Live:
    """A model of these rows, by the project's own training path.

    Args:
        project: Split, network and policy.
        rows: Labelled raw rows.
        folder: Everything that is made; kept, and taken again if it is there.
        number: The version's number.
    """
    folder = folder.resolve()
    graph, parts = folder / "graph" / "model.onnx", folder / "split"
    if not graph.exists():
        _train(project, rows, folder)
    schema = Schema.from_json({one.key: one.value for one in onnx.load(graph).metadata_props}["schema"])
    test = pl.read_parquet(parts / "test.parquet")
    outputs = predict(graph, test, schema)
    metrics = measure_all("binary", true_answers(test, schema), outputs.prediction, outputs.probability)
    version = ModelVersion(project.name, number, "made-for-a-proof", sha256(graph.read_bytes()).hexdigest())
    files = ModelFiles(version, graph, schema, parts / "reference.parquet", metrics, project.sha256)
    return Live(project, files)


def _train(project: Project, rows: pl.DataFrame, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows.write_parquet(folder / "rows.parquet")
    source = PluginSettings(
        class_path="components.data.sources.Parquet", init_args={"path": str(folder / "rows.parquet")}
    )
    data = project.data.model_copy(update={"source": source, "drop": ()})
    project = project.model_copy(update={"data": data})
    table = tables.ingest(project, folder / "table")
    schema = schemas.infer_schema(tables.read_table(table), project.data)
    split = splits.split(table, schema, project, folder / "split")
    fitted = fit_model(split, project.training, folder / "fit")
    export(fitted, split, project.optimization, folder / "graph", project=project.name)


def shuffled(rows: pl.DataFrame, timestamp: str, rng: np.random.Generator) -> pl.DataFrame:
    """The same rows and the same moments, put together by chance: no order in time is left."""
    drawn = rows.drop(timestamp)[rng.permutation(rows.height)]
    return drawn.with_columns(rows[timestamp].sort())


def windows_by_time(rows: pl.DataFrame, timestamp: str, length: timedelta, begin: datetime) -> Iterator[Window]:
    """Whole windows of that length from `begin` to the newest row."""
    last = rows[timestamp].max()
    assert isinstance(last, datetime)
    while begin + length <= last:
        yield Window(begin, begin + length)
        begin += length


def windows_by_rows(rows: pl.DataFrame, timestamp: str, count: int) -> Iterator[tuple[Window, pl.DataFrame]]:
    """Whole windows of so many rows each, oldest first."""
    for start in range(0, rows.height - count + 1, count):
        part = rows[start : start + count]
        first, last = part[timestamp][0], part[timestamp][-1]
        yield Window(first, last + timedelta(microseconds=1)), part


def replay(facts: Sequence[WindowFacts], policy: MonitoringSettings, *, rests: bool = True) -> list[Decision]:
    """The decision on each window with what was known at its end; the model stays as it is, whatever is decided.

    Args:
        facts: Measured windows, oldest first.
        policy: The rules.
        rests: Whether a retraining that was asked for is remembered, so that cooldown and budget hold.
    """
    decisions: list[Decision] = []
    for number in range(len(facts)):
        asked = [Retraining(one.id, one.window) for one in decisions if one.verdict == "retrain"] if rests else []
        decisions.append(decide(History("proof", "roc_auc", tuple(facts[: number + 1]), tuple(asked)), policy))
    return decisions


def judged_by(facts: WindowFacts, policy: MonitoringSettings) -> WindowFacts:
    """The facts as another policy's thresholds have them: sizes and chances are those of the rows, whatever the policy.

    Only for facts with columns, and policies that sample and compare alike.
    """
    chances = {column.name: column.p_value for column in facts.columns if column.p_value is not None}
    found = discoveries(chances, policy.false_discoveries)
    columns = []
    for column in facts.columns:
        threshold = policy.column_thresholds.get(column.name, policy.drift_threshold)
        has_drifted = column.size is not None and column.size >= threshold and column.name in found
        columns.append(replace(column, threshold=threshold, has_drifted=has_drifted))
    jumps = {column.name: column.missing - column.reference_missing for column in columns}
    broken = {name for name, jump in jumps.items() if jump >= policy.trigger.broken_share}
    broken |= {column.name for column in columns if column.broken}
    facts = replace(facts, broken_columns=tuple(sorted(broken)))
    return with_drift(facts, tuple(columns), []) if facts.rows >= policy.trigger.min_rows else facts


def say(line: str) -> None:
    """A line of progress, beside the table."""
    print(line, file=sys.stderr, flush=True)

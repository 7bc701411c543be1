"""Tasks that make a model: from a table to a registered version with a verdict."""

from datetime import UTC, datetime
from pathlib import Path

from components.data import leaks, splits, tables
from components.data import schema as schemas
from components.data.windows import labelled_rows
from components.evaluation import contest, scorecards
from components.evaluation.contest import Contender
from components.optimization import export as exporting
from components.records.models import FittedModel, Lineage, ModelFiles, ModelVersion, Variant
from components.records.rows import Schema, Split, TableVersion
from components.records.scores import Scorecard, Verdict
from components.registry import registering, tracking
from components.settings.environment import Environment
from components.settings.project import Project
from components.training import fit as fitting
from flows.folders import outbox, run_folder
from flows.tasks.policy import step


@step
def ingest(project: Project, lineage: Lineage, extra: Path | None = None) -> TableVersion:
    """The project's table as a new version, with the labelled live rows behind it if there are any."""
    return tables.ingest(project, Environment().tables(project.name), until=lineage.until, extra=extra)


@step
def check(table: TableVersion, project: Project) -> Schema:
    """What a row of this table looks like; refuses a table that is not what the project file says, or that leaks."""
    frame = tables.read_table(table)
    schema = schemas.infer_schema(frame, project.data)
    schemas.check_frame(frame, schema, where=str(table.path), data=project.data)
    leaks.check_leaks(frame, schema, project.data)
    return schema


@step
def split(table: TableVersion, schema: Schema, project: Project, lineage: Lineage) -> Split:
    """The table's rows divided by time: learn, choose, score.

    A retraining keeps back the newest labelled days, on which champion and challenger are judged.
    """
    retrain = project.monitoring.retrain if lineage.decision_id else None
    days = {"test_days": retrain.judge_days, "validation_days": retrain.validation_days} if retrain else {}
    return splits.split(table, schema, project, run_folder(project, lineage) / "split", **days)


@step
def fit(split: Split, project: Project, lineage: Lineage) -> FittedModel:
    """The network, fitted in a process of its own; goes on from its checkpoint if an earlier run was killed."""
    return fitting.fit_model(split, project.training, run_folder(project, lineage) / "fit")


@step
def export(fitted: FittedModel, split: Split, project: Project, lineage: Lineage) -> Variant:
    """One ONNX graph from raw row to prediction, proven equal to the network."""
    return exporting.export(
        fitted, split, project.optimization, run_folder(project, lineage) / "export", project=project.name
    )


@step
def score(variant: Variant, split: Split, project: Project, lineage: Lineage) -> Scorecard:
    """The scorecard of the graph on the test part."""
    folder = run_folder(project, lineage) / "score"
    return scorecards.score(variant, split, project.evaluation, folder, cost=project.cost)


@step
def register(
    project: Project, lineage: Lineage, split: Split, fitted: FittedModel, variant: Variant, scorecard: Scorecard
) -> ModelVersion:
    """The graph as a version in MLflow, with all that is needed to serve it, watch it and make it again."""
    tracking.connect(Environment())
    from components.records.models import RatedVariant, Workshop

    table = run_folder(project, lineage) / "variants.md"
    table.write_text("interim")
    workshop = Workshop((RatedVariant(variant, 0.0, 0.0),), {}, variant, table, table)
    return registering.register(project, lineage, split, fitted, workshop, scorecard)


@step
def judge(variant: Variant, champion: ModelFiles | None, split: Split, project: Project) -> Verdict:
    """Whether the candidate may replace the champion; both are scored on the split's test rows and its holdout."""
    candidate = Contender(variant.path, variant.schema, footprint=variant.footprint, megabytes=variant.megabytes)
    defender = Contender(champion.graph, champion.schema) if champion else None
    return contest.contest(candidate, defender, split, project.evaluation)


@step
def live_rows(project: Project, champion: ModelFiles | None, lineage: Lineage) -> Path | None:
    """The live rows whose labels have arrived, as a Parquet file beside the split; or None if there are none."""
    if champion is None:
        return None
    out = run_folder(project, lineage) / "live.parquet"
    ledger = Environment().ledger(project.name)
    until = lineage.until or datetime.now(UTC)
    return labelled_rows(ledger, champion.schema, until=until, target=project.data.target.column, out=out)


@step
def claim(project: Project, decision_id: str, run_id: str) -> bool:
    """Whether this run is the one that carries the decision out; true for exactly one."""
    return outbox(project.name).claim(decision_id, run_id)


@step
def finish(project: Project, decision_id: str, run_id: str, verdict: Verdict, version: ModelVersion) -> None:
    """The decision is carried out, with what came of it."""
    outbox(project.name).finish(decision_id, verdict.outcome, verdict.reason, version.version, run_id=run_id)

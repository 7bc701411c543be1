"""Tasks that make a model: from a table to a registered version with a verdict."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from components.data import leaks, splits, tables
from components.data import schema as schemas
from components.data.privacy import can_teach
from components.data.windows import labelled_rows
from components.evaluation import behaviours, contest, rating, scorecards
from components.evaluation.contest import Contender
from components.evaluation.judging import with_rule
from components.evaluation.metrics import metric_named
from components.optimization import choosing, measuring, pruning, variants
from components.records.models import Beginning, FittedModel, Lineage, ModelFiles, ModelVersion, Workshop
from components.records.rows import Schema, Split, TableVersion
from components.records.scores import Scorecard, Verdict
from components.registry import beginnings, fetching, registering, tracking
from components.serving import sandbox
from components.settings.environment import Environment
from components.settings.project import Project
from components.training import fit as fitting
from flows.folders import run_folder
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
    behaviours.check_behaviours(schema, project.evaluation)
    return schema


@step
def split(table: TableVersion, schema: Schema, project: Project, lineage: Lineage) -> Split:
    """The table's rows divided by time: learn, choose, score.

    A retraining keeps back the newest labelled days, on which champion and challenger are judged, and learns from the
    window that the project asks for.
    """
    folder = run_folder(project, lineage) / "split"
    if not lineage.is_retraining:
        return splits.split(table, schema, project, folder)
    retrain = project.monitoring.retrain
    return splits.split(
        table,
        schema,
        project,
        folder,
        test_days=retrain.judge_days,
        validation_days=retrain.validation_days,
        length=retrain.newest,
        half_life=retrain.halved,
    )


@step
def begin_with(project: Project, champion: ModelFiles | None, split: Split, lineage: Lineage) -> Beginning:
    """Where training begins: with fresh weights, or with the champion's in a retraining that asks for it."""
    if not lineage.is_retraining or project.monitoring.retrain.start == "scratch":
        return Beginning()
    tracking.connect(Environment())
    return beginnings.beginning(project, champion, split, run_folder(project, lineage) / "champion")


@step
def fit(split: Split, project: Project, lineage: Lineage, beginning: Beginning) -> FittedModel:
    """The network, fitted in a process of its own; goes on from its checkpoint if an earlier run was killed."""
    return fitting.fit_model(
        split,
        project.training,
        run_folder(project, lineage) / "fit",
        start=beginning.model,
        half_life=_half_life(project, lineage),
    )


@step
def shrink(fitted: FittedModel, split: Split, project: Project, lineage: Lineage) -> dict[str, FittedModel]:
    """The smaller networks that the project asks for: one cut and tuned again, one taught by the first."""
    wanted, training, folder = project.optimization, project.training, run_folder(project, lineage)
    halved, smaller = _half_life(project, lineage), {}
    if "pruned" in wanted.variants:
        cut = pruning.prune(fitted, wanted.prune, folder / "cut")
        tuning = {"max_epochs": wanted.prune.epochs, "learning_rate": wanted.prune.learning_rate}
        tuned = training.model_copy(update=tuning)
        smaller["pruned"] = fitting.fit_model(split, tuned, folder / "pruned", start=cut, half_life=halved)
    if "student" in wanted.variants:
        model = training.model.model_copy(
            update={"init_args": {**training.model.init_args, **wanted.student.init_args}}
        )
        learning = training.model_copy(update={"model": model, "max_epochs": wanted.student.epochs})
        smaller["student"] = fitting.fit_model(
            split,
            learning,
            folder / "student",
            teacher=fitted,
            teacher_weight=wanted.student.teacher_weight,
            half_life=halved,
        )
    return smaller


@step
def optimize(
    fitted: FittedModel, smaller: dict[str, FittedModel], split: Split, project: Project, lineage: Lineage
) -> Workshop:
    """The variants that the project asks for, each proven and measured; the best within the budget is the model."""
    settings, evaluation = project.optimization, project.evaluation
    folder = run_folder(project, lineage) / "variants"
    built, left_out = variants.build(fitted, smaller, split, settings, folder, project=project.name)
    measured = measuring.measure(built, split.validation, settings)
    qualities = rating.rate(measured, split.validation, evaluation)
    metric = metric_named(evaluation.metric)
    return choosing.choose(
        measured,
        qualities,
        left_out,
        fitted,
        settings,
        folder,
        metric=metric.name,
        lower_is_better=metric.lower_is_better,
    )


@step
def score(workshop: Workshop, fitted: FittedModel, split: Split, project: Project, lineage: Lineage) -> Scorecard:
    """The scorecard of the very graph that will be served, on the test part."""
    folder = run_folder(project, lineage) / "score"
    return scorecards.score(
        workshop.chosen, split, project.evaluation, folder, cost=project.cost, fit_seconds=fitted.seconds
    )


@step
def register(
    project: Project,
    lineage: Lineage,
    split: Split,
    beginning: Beginning,
    fitted: FittedModel,
    workshop: Workshop,
    scorecard: Scorecard,
) -> ModelVersion:
    """The graph as a version in MLflow, with all that is needed to serve it, watch it and make it again."""
    tracking.connect(Environment())
    return registering.register(project, lineage, split, fitted, workshop, scorecard, beginning=beginning)


@step
def judge(
    workshop: Workshop, scorecard: Scorecard, champion: ModelFiles | None, split: Split, project: Project
) -> Verdict:
    """Whether the candidate may replace the champion; both are scored on the split's test rows and its holdout."""
    variant = workshop.chosen
    candidate = Contender(
        variant.path,
        variant.schema,
        behaviours=scorecard.behaviours,
        footprint=variant.footprint,
        megabytes=variant.megabytes,
    )
    defender = Contender(champion.graph, champion.schema) if champion else None
    return contest.contest(candidate, defender, split, project.evaluation)


@step
def try_out(version: ModelVersion, verdict: Verdict, split: Split, project: Project) -> Verdict:
    """The verdict, after a real server in a sandbox was asked real rows; it must answer as the graph does."""
    environment = Environment()
    tracking.connect(environment)
    files = fetching.fetch(version, environment.cache())
    rows = project.evaluation.gate.sandbox_rows
    return with_rule(verdict, sandbox.try_out(files, project.file, environment, split.test, rows=rows))


@step
def live_rows(project: Project, champion: ModelFiles | None, lineage: Lineage) -> Path | None:
    """The live rows whose labels have arrived, as a Parquet file beside the split; or None if there are none.

    None too where the ledger does not hold all columns as they came (`serving.private`, `serving.ledger_columns`).
    """
    if champion is None or not can_teach(project, champion.schema):
        return None
    out = run_folder(project, lineage) / "live.parquet"
    ledger = Environment().ledger(project.name)
    until = lineage.until or datetime.now(UTC)
    return labelled_rows(ledger, champion.schema, until=until, target=project.data.target.column, out=out)


def _half_life(project: Project, lineage: Lineage) -> timedelta | None:
    return project.monitoring.retrain.halved if lineage.is_retraining else None

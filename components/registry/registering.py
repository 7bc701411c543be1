"""One training as one MLflow run, and its graph as a version of the registered model.

The only file of the room that imports ONNX, so that the service does not.
"""

import json
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import mlflow
import onnx
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from components.errors import ModelRefused
from components.records.jsonable import to_jsonable
from components.records.models import Beginning, FittedModel, Lineage, ModelVersion, Variant, Workshop
from components.records.rows import Split
from components.records.scores import Scorecard
from components.registry.datasets import DIGEST_CHARACTERS, log_datasets
from components.registry.epochs import epoch_metrics
from components.registry.figures import making_figures, score_figures
from components.registry.learned import learned_tags
from components.registry.packing import (
    FITTED,
    FITTED_FOLDER,
    GRAPH,
    MANIFEST,
    REFERENCE,
    SCHEMA,
    Manifest,
    file_sha256,
)
from components.registry.signatures import signature
from components.registry.stories import birth_story, model_story, run_name, version_tags
from components.registry.thresholds import birth_tag
from components.registry.tracking import PRESENT, experiment_id, reaching
from components.settings.project import Project

log = logging.getLogger(__name__)

PARAMS_A_BATCH = 100  # MLflow takes no more at once
METRICS_A_BATCH = 1_000


def register(
    project: Project,
    lineage: Lineage,
    split: Split,
    fitted: FittedModel,
    workshop: Workshop,
    scorecard: Scorecard,
    *,
    beginning: Beginning | None = None,
    extra_artifacts: Sequence[Path] = (),
) -> ModelVersion:
    """The graph as a new version of the project's model, with all that it takes to serve, watch and make it again.

    The version appears last and at once with its tags and description: a run that was cut off leaves a failed run in
    MLflow, and no version.

    Args:
        project: The settings it was made with.
        lineage: Where it comes from and why.
        split: The rows it was made from.
        fitted: How training went.
        workshop: The graph that was chosen, and the variants it was chosen from.
        scorecard: How good the graph is on the test part.
        beginning: Where its training began; None: with chance, as nothing else was asked for.
        extra_artifacts: Further files for the run.

    Raises:
        PassingFault: If MLflow cannot be reached.
        ModelRefused: If MLflow would store other bytes than those that were scored.
    """
    started = time.monotonic()
    variant = workshop.chosen
    learned = learned_tags(project, lineage, split, beginning or Beginning())
    story = birth_story(lineage, split, fitted, workshop, scorecard, learned)
    with reaching(f"a new version of {project.name}"), tempfile.TemporaryDirectory() as scratch:
        experiment = experiment_id(project.name)
        _ensure_model(project)
        tags = _run_tags(lineage, story)
        with mlflow.start_run(experiment_id=experiment, run_name=run_name(lineage, split), tags=tags) as run:
            run_id = run.info.run_id
            _log_params(run_id, project)
            log_datasets(split)
            extra = [workshop.table, workshop.picture, *extra_artifacts]
            mlflow.log_artifacts(str(_gather(Path(scratch), project, fitted, scorecard, extra)))
            packed = _pack(Path(scratch), project, split, fitted, variant, scorecard)
            model_id = _log_graph(variant, packed)
            _log_scores(run_id, model_id, fitted, workshop, scorecard, split)
            _log_epochs(run_id, fitted)
            tags = version_tags(lineage, split, variant) | {"manifest_sha256": file_sha256(packed / MANIFEST)}
            tags |= learned | birth_tag(project.monitoring)
            made = MlflowClient().create_model_version(
                project.name,
                f"models:/{model_id}",
                run_id,
                tags=tags,
                description=story,
                model_id=model_id,
                await_creation_for=0,
            )
    seconds = time.monotonic() - started
    log.info("version registered model=%s version=%s run=%s seconds=%.1f", project.name, made.version, run_id, seconds)
    return ModelVersion(project.name, int(made.version), run_id, variant.sha256)


def _ensure_model(project: Project) -> None:
    target = project.data.target
    tags = {"target": target.column, "kind": target.kind, "metric": project.evaluation.metric, "made_by": "everfit"}
    try:
        MlflowClient().create_registered_model(
            project.name, tags=tags, description=model_story(project.name, target.column, target.kind)
        )
    except MlflowException as err:
        if err.error_code not in PRESENT:
            raise


def _run_tags(lineage: Lineage, story: str) -> dict[str, str]:
    return {
        "everfit.kind": "training",
        "everfit.reason": lineage.reason,
        "everfit.decision_id": lineage.decision_id or "",
        "mlflow.note.content": story,
        "mlflow.source.git.commit": lineage.commit,
        "mlflow.source.name": lineage.project_file.name,
    }


def _log_params(run_id: str, project: Project) -> None:
    params = [Param(name, str(value)) for name, value in _flat(project.model_dump(mode="json"))]
    params.append(Param("project_sha256", project.sha256))
    for first in range(0, len(params), PARAMS_A_BATCH):
        MlflowClient().log_batch(run_id, params=params[first : first + PARAMS_A_BATCH])


def _flat(settings: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{before}{name}.")
        elif value is not None:
            # Column names may hold what MLflow's parameter names may not.
            yield f"{before}{name}".encode("ascii", "replace").decode().replace("?", "_"), value


def _log_scores(
    run_id: str, model_id: str, fitted: FittedModel, workshop: Workshop, scorecard: Scorecard, split: Split
) -> None:
    """The scorecard, tied to the model and its test rows, and what it took to make the model."""
    now = _now_ms()
    digest = split.test.sha256[:DIGEST_CHARACTERS]
    scores = [
        Metric(name, value, now, 0, model_id=model_id, dataset_name="test", dataset_digest=digest)
        for name, value in score_figures(scorecard).items()
    ]
    making = [Metric(name, value, now, 0) for name, value in making_figures(fitted, workshop).items()]
    MlflowClient().log_batch(run_id, metrics=[*scores, *making])


def _log_epochs(run_id: str, fitted: FittedModel) -> None:
    """The losses of each epoch; after the graph, because logging it asks for each metric's history, one by one."""
    metrics = epoch_metrics(fitted.folder / "history.json", _now_ms())
    for first in range(0, len(metrics), METRICS_A_BATCH):
        MlflowClient().log_batch(run_id, metrics=metrics[first : first + METRICS_A_BATCH])


def _gather(scratch: Path, project: Project, fitted: FittedModel, scorecard: Scorecard, extra: Sequence[Path]) -> Path:
    """A folder with the run's artifacts, so that they go up together."""
    folder = scratch / "artifacts"
    (folder / "plots").mkdir(parents=True)
    (folder / FITTED_FOLDER).mkdir()
    history = fitted.folder / "history.json"
    page = [scorecard.page] if scorecard.page else []
    for file in (project.file, *([history] if history.is_file() else []), *page, *extra):
        shutil.copy(file, folder)
    for file in _left(fitted):
        shutil.copy(file, folder / FITTED_FOLDER)
    for plot in scorecard.plots:
        shutil.copy(plot, folder / "plots")
    (folder / "scorecard.json").write_text(json.dumps(to_jsonable(scorecard), indent=2))
    return folder


def _left(fitted: FittedModel) -> list[Path]:
    """What training left, if it is whole; parts of it are of no use."""
    files = [fitted.folder / name for name in FITTED]
    return files if all(file.is_file() for file in files) else []


def _pack(
    scratch: Path, project: Project, split: Split, fitted: FittedModel, variant: Variant, scorecard: Scorecard
) -> Path:
    """A folder with what travels beside the graph: schema, reference, manifest."""
    folder = scratch / "packed"
    folder.mkdir()
    (folder / SCHEMA).write_text(variant.schema.to_json())
    shutil.copyfile(split.reference.path, folder / REFERENCE)
    files = {name: file_sha256(folder / name) for name in (SCHEMA, REFERENCE)} | {GRAPH: variant.sha256}
    left = {file.name: file_sha256(file) for file in _left(fitted)}
    manifest = Manifest(project.name, files, dict(scorecard.metrics), project.sha256, fitted=left)
    (folder / MANIFEST).write_text(manifest.to_json())
    return folder


def _log_graph(variant: Variant, packed: Path) -> str:
    """The graph in MLflow's ONNX flavour, for whoever loads it with `mlflow.pyfunc`; its model id."""
    graph = onnx.load(variant.path)
    _check_bytes(graph, variant)
    info = mlflow.onnx.log_model(
        graph,
        name="model",
        signature=signature(variant.schema),
        # Given, because inferring them starts a process that loads the model, for 2 s.
        pip_requirements=[f"onnxruntime=={installed('onnxruntime')}"],
        onnx_execution_providers=["CPUExecutionProvider"],
        onnx_session_options={"intra_op_num_threads": 1},
        save_as_external_data=False,
        extra_files=[str(packed / name) for name in (SCHEMA, REFERENCE, MANIFEST)],
        tags={"sha256": variant.sha256, "variant": variant.name},
    )
    return str(info.model_id)


def _check_bytes(graph: Any, variant: Variant) -> None:
    """MLflow writes the graph anew; what is scored must be, to the byte, what is served."""
    with tempfile.TemporaryDirectory() as folder:
        onnx.save_model(graph, Path(folder) / GRAPH)
        found = file_sha256(Path(folder) / GRAPH)
    if found != variant.sha256:
        raise ModelRefused(
            f"wanted to store {variant.path} with sha256 {variant.sha256}, but written again it has {found}; write it "
            "with onnx.save of the same onnx version, then score and register that file"
        )


def _now_ms() -> int:
    return int(time.time() * 1000)

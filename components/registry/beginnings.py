"""Where a training begins: with chance, or with the champion's weights where these may be used.

They may be used if they fit the project as it is now, and if the champion has learned from none of the rows on which
the new version will be chosen and judged: what it learned by heart, the new version would know too.
"""

import json
import logging
import shutil
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from components.errors import ModelRefused
from components.records.models import Beginning, FittedModel, ModelFiles, ModelVersion
from components.records.rows import Schema, Split
from components.registry.learned import Learned, read_learned
from components.registry.packing import FITTED, FITTED_FOLDER, file_sha256, read_manifest
from components.registry.tracking import address, is_absent, reachable, reaching
from components.settings.project import Project

log = logging.getLogger(__name__)


def beginning(project: Project, champion: ModelFiles | None, split: Split, folder: Path) -> Beginning:
    """The champion's fitted model, if a training may begin with it; else with chance, and why.

    Args:
        project: The project, for its network and its holdout.
        champion: The champion's files; None if there is none.
        split: The rows that will be learned from, chosen on and judged on.
        folder: Where the champion's fitted model goes; what stands there is replaced.

    Raises:
        ModelRefused: If a file of the fitted model is not the one that was registered.
        PassingFault: If the registry cannot be reached.
    """
    if champion is None:
        return _with_chance("there is no champion")
    learned = read_learned(champion.version)
    reason = _unfit(champion, split) or _knows_too_much(champion.version, learned, project, split)
    if reason:
        return _with_chance(reason)
    fitted = fetch_fitted(champion, folder)
    if fitted is None:
        return _with_chance(f"the weights of version {champion.version.version} were not kept")
    if other := _other_network(fitted, project):
        return _with_chance(f"the project file asks for {other} than version {champion.version.version} has")
    assert learned is not None
    log.info("training begins with the champion version=%d", champion.version.version)
    return Beginning(fitted, champion.version.version, learned.until)


def fetch_fitted(files: ModelFiles, folder: Path) -> FittedModel | None:
    """What the version's training left, fetched into a folder; None if it was not kept, or is there no more.

    Args:
        files: The version's files, whose manifest vouches for the fitted ones.
        folder: Where they go; what stands there is replaced.

    Raises:
        ModelRefused: If a file is not the one that was registered.
        PassingFault: If the registry cannot be reached.
    """
    wanted = read_manifest(files.graph.parent).fitted
    if set(wanted) != set(FITTED):
        return None
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if not _download(files.version, folder):
        return None
    for name, sha256 in wanted.items():
        found = file_sha256(folder / name) if (folder / name).is_file() else "no file"
        if found != sha256:
            raise ModelRefused(
                f"wanted {name} of version {files.version.version} of {files.version.name} with sha256 {sha256}, found "
                f"{found} at {address()}; find out who changed it, and set monitoring.retrain.start: scratch until then"
            )
    return FittedModel(folder=folder, **json.loads((folder / "fitted.json").read_text(encoding="utf-8")))


def _download(version: ModelVersion, folder: Path) -> bool:
    """Whether the run still has the folder; then each of its files that we know stands in ours."""
    with reaching(f"the fitted model of version {version.version} of {version.name}"):
        try:
            location = reachable(MlflowClient().get_run(version.run_id).info.artifact_uri)
            names = {Path(file.path).name for file in mlflow.artifacts.list_artifacts(artifact_uri=location)}
            if FITTED_FOLDER not in names:
                return False
            found = mlflow.artifacts.download_artifacts(f"{location}/{FITTED_FOLDER}", dst_path=str(folder / "whole"))
        except MlflowException as err:
            if is_absent(err):
                return False
            raise
    for name in FITTED:
        if (Path(found) / name).is_file():
            shutil.move(Path(found) / name, folder / name)
    shutil.rmtree(folder / "whole")
    return True


def _with_chance(reason: str) -> Beginning:
    log.warning("training begins with fresh weights, though the champion's were asked for: %s", reason)
    return Beginning(reason=reason)


def _unfit(champion: ModelFiles, split: Split) -> str:
    """Why a network that takes the champion's rows cannot take these; empty if it can."""
    number, (before, now) = champion.version.version, (champion.schema, split.schema)
    had, has = ({column.name: column.kind for column in schema.features} for schema in (before, now))
    if list(had.items()) != list(has.items()):
        changed = sorted(name for name in had | has if had.get(name) != has.get(name))
        return f"the columns are not those of version {number} ({', '.join(changed) or 'another order'})"
    if _answers(before) != _answers(now):
        return f"what is predicted is not what version {number} predicts ({_answers(before)}, now {_answers(now)})"
    return ""


def _answers(schema: Schema) -> tuple[str, str, tuple[str, ...]]:
    return schema.target, schema.target_kind, schema.classes


def _knows_too_much(version: ModelVersion, learned: Learned | None, project: Project, split: Split) -> str:
    """Which rows the champion learned from that must be new to the next version; empty if none."""
    number, share = version.version, project.data.split.holdout_share
    if learned is None:
        return f"version {number} does not say which rows it learned from"
    if learned.until >= split.validation.first:
        return (
            f"version {number} learned from rows up to {learned.until:%Y-%m-%d %H:%M}, and this one is chosen and "
            f"judged on rows from {split.validation.first:%Y-%m-%d %H:%M} on"
        )
    if learned.holdout_share < share:
        return f"version {number} was kept from {learned.holdout_share:g} of all rows, and the holdout is {share:g} now"
    return ""


def _other_network(fitted: FittedModel, project: Project) -> str:
    """What differs between the network that was fitted and the project's; empty if nothing does."""
    wanted = project.training.model
    found = json.loads((fitted.folder / "model.json").read_text(encoding="utf-8"))
    if found["class_path"] != wanted.class_path:
        return f"another network ({wanted.class_path})"
    return f"another size ({wanted.init_args})" if found["init_args"] != wanted.init_args else ""

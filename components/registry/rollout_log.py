"""What was found each time a challenger moved: `rollout.json` on the run that made the version."""

from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient

from components.records.jsonable import to_jsonable
from components.records.models import ModelVersion
from components.records.rollouts import Step
from components.registry.tracking import reachable, reaching

ROLLOUT = "rollout.json"


def log_step(step: Step) -> None:
    """Add the step, with every rule and its numbers; the same step again replaces itself.

    Raises:
        PassingFault: If MLflow cannot be reached.
    """
    version, new = step.challenger.version, to_jsonable(step)
    steps = [known for known in read_steps(version) if known["at"] != new["at"]]
    with reaching(f"a place for the rollout of version {version.version} of {version.name}"):
        MlflowClient().log_dict(version.run_id, [*steps, new], ROLLOUT)


def read_steps(version: ModelVersion) -> list[dict[str, Any]]:
    """Every step that was logged, oldest first, as `Step` reads in JSON; empty if the version never was a challenger.

    Raises:
        PassingFault: If MLflow cannot be reached.
    """
    with reaching(f"the rollout of version {version.version} of {version.name}"):
        folder = reachable(MlflowClient().get_run(version.run_id).info.artifact_uri)
        if ROLLOUT not in {Path(file.path).name for file in mlflow.artifacts.list_artifacts(artifact_uri=folder)}:
            return []
        found: list[dict[str, Any]] = mlflow.artifacts.load_dict(f"{folder}/{ROLLOUT}")
        return found

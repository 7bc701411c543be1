"""The `train` flow: a model from the project's own source, judged against the champion if there is one."""

from datetime import datetime
from pathlib import Path

from prefect import flow

from components.records.models import ModelVersion
from components.registry.lineage import lineage
from components.settings.reading import load_project
from flows.challenge import challenge


@flow(name="train", log_prints=False, validate_parameters=True)
def train(project_file: Path, until: datetime | None = None, reason: str = "manual") -> ModelVersion:
    """Ingest, fit, optimise, score, register, and promote the better model, or make it challenger first.

    Args:
        project_file: The project.
        until: Use rows before this event time (UTC); all if not given.
        reason: Why, for the registry.
    """
    project = load_project(project_file)
    origin = lineage(project, reason=reason, until=until)

    version, _ = challenge(project, origin)
    return version

"""The `reconcile` flow: every decision that asked for a retraining gets exactly one, whatever was down meanwhile."""

from pathlib import Path

from prefect import flow

from components.settings.reading import load_project
from flows.tasks import reconciling


@flow(name="reconcile")
def reconcile(project_file: Path) -> list[str]:
    """Start what was decided but never started, and start again what was started but never ended.

    Events are lost while the Prefect server is away, and a killed run never says that it failed. The outbox knows both.

    Returns:
        What was done, one sentence a decision; empty when everything was in order.
    """
    project = load_project(project_file)
    return reconciling.settle(project)

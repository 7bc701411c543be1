"""The `reconcile` flow: every decision that asked for a retraining gets exactly one, whatever was down meanwhile."""

import logging
from pathlib import Path

from prefect import flow

from components.settings.reading import load_project
from flows.acting import carry_out
from flows.events import has_listener
from flows.tasks import notifying, reconciling

log = logging.getLogger(__name__)


@flow(name="reconcile")
def reconcile(project_file: Path) -> list[str]:
    """Start what was decided but never started, and start again what was started but never ended.

    Events are lost while the Prefect server is away, and a killed run never says that it failed. The outbox knows both.
    Without a server it is carried out right here. What people were to be told and could not be is told now.

    Returns:
        What was done, one sentence a decision; empty when everything was in order.
    """
    project = load_project(project_file)
    notifying.catch_up(project)
    if not has_listener():
        return carry_out(project, log.info)
    return reconciling.settle(project)

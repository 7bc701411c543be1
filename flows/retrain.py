"""The `retrain` flow: a challenger from all rows so far, the labelled live ones among them."""

from datetime import datetime
from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from components.records.models import ModelVersion
from components.registry.lineage import lineage
from components.settings.reading import load_project
from flows.challenge import challenge
from flows.release import release
from flows.tasks import building, releasing


@flow(name="retrain")
def retrain(
    project_file: Path, decision_id: str | None = None, until: datetime | None = None, reason: str = "manual"
) -> ModelVersion | State:
    """Carry out a decision once: fit a challenger, judge it on the newest labelled rows, release it if it is better.

    Args:
        project_file: The project.
        decision_id: The decision that asked for it; None when a person did.
        until: Use rows before this event time (UTC); all if not given.
        reason: Why, for the registry.
    """
    project = load_project(project_file)
    if decision_id and not building.claim(project, decision_id, flow_run.id):
        return Completed(message=f"decision {decision_id} is carried out by another run", name="AlreadyCarriedOut")

    origin = lineage(project, reason=reason, decision_id=decision_id, until=until)
    champion = releasing.champion(project)
    live = building.live_rows(project, champion, origin)
    version, verdict = challenge(project, origin, live)

    if decision_id:
        building.finish(project, decision_id, flow_run.id, verdict, version)
    if verdict.promote and project.serving.rollout.mode == "direct":
        release(project_file)
    return version

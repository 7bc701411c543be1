"""The `retrain` flow: a challenger from the rows so far, the labelled live ones among them, judged on the newest."""

from datetime import datetime
from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from components.records.models import ModelVersion
from components.registry.lineage import lineage
from components.settings.project import Project
from components.settings.reading import load_project
from flows import notices, turns
from flows.challenge import challenge
from flows.events import has_listener
from flows.release import release
from flows.tasks import acting, building, notifying, releasing


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

    Raises:
        Taken: If a person asks for it while another retraining of the project goes on; a decision stays open instead.
    """
    project = load_project(project_file)
    try:
        with turns.turn(project.name, decision_id or "", patience=turns.DYING if decision_id else turns.LOOKING):
            return _carry_out(project, decision_id, until, reason)
    except turns.Taken as err:
        if decision_id is None:
            raise
        return Completed(message=f"{err}; decision {decision_id} stays open until then", name="StaysOpen")


def _carry_out(project: Project, decision_id: str | None, until: datetime | None, reason: str) -> ModelVersion | State:
    """The retraining itself, while nobody else retrains the project."""
    if decision_id:
        if not acting.claim(project, decision_id, flow_run.id):
            return Completed(message=f"decision {decision_id} is taken or ended", name="AlreadyCarriedOut")
        if said := acting.answered(project, decision_id, flow_run.id):
            return Completed(message=said, name="AlreadyAnswered")

    notifying.tell(project, notices.of_retraining, reason, decision_id or flow_run.id)
    origin = lineage(project, reason=reason, decision_id=decision_id, until=until, is_retraining=True)
    champion = releasing.champion(project)
    live = building.live_rows(project, champion, origin)
    version, verdict = challenge(project, origin, live)

    if decision_id:
        acting.finish(project, decision_id, flow_run.id, verdict, version)
    if verdict.promote and project.serving.rollout.mode == "direct" and (has_listener() or releasing.is_up()):
        release(project.file)
    return version

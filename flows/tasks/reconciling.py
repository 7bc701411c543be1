"""Tasks that compare the outbox with what Prefect has run."""

import logging
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound

from components.data.decisions import DecisionEntry
from components.settings.project import Project
from flows import turns
from flows.folders import outbox
from flows.tasks.policy import step

log = logging.getLogger(__name__)

# An announced decision is normally picked up within 10 s (event, automation, start of a process).
GRACE = timedelta(seconds=45)
ALIVE = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED, StateType.CANCELLING]


@step
def settle(project: Project) -> list[str]:
    """Give the open decision its one retraining; what was done, one sentence each."""
    return settle_decisions(project, grace=GRACE)


def settle_decisions(project: Project, *, grace: timedelta) -> list[str]:
    """The same, for a decision that has waited longer than `grace`, or whose run has died."""
    box = outbox(project.name)
    box.supersede(project.name)
    done: list[str] = []
    with get_client(sync_client=True) as client:
        for entry in box.running(project.name):
            ending = _ended_without_word(client, entry)
            if ending is not None and box.release(entry.decision.id, ending, run_id=entry.run_id):
                done.append(f"decision {entry.decision.id}: {ending}; it is open again")
        for entry in box.pending(project.name):
            if _is_due(entry, grace) and not _has_run(client, project, entry):
                run = _start(client, project, entry)
                done.append(f"decision {entry.decision.id}: no run is carrying it out; started run {run.name}")
    for sentence in done:
        log.warning(sentence)
    return done


def tag(decision_id: str) -> str:
    """The tag by which a run says which decision it is for."""
    return f"decision:{decision_id}"


def _ended_without_word(client: SyncPrefectClient, entry: DecisionEntry) -> str | None:
    """How the run that has the decision ended, if it ended and the decision is still running.

    Whoever has taken a decision holds the turn; Prefect may not know of a run that had no server, and may not know yet
    that a process is gone.
    """
    try:
        run = client.read_flow_run(UUID(entry.run_id))
    except ObjectNotFound:
        run = None
    if run is not None and run.state is not None and run.state.is_final():
        return f"its run ended as {run.state_name}"
    return turns.GONE if turns.holder(entry.decision.project) is None else None


def _is_due(entry: DecisionEntry, grace: timedelta) -> bool:
    """Whether nobody else will start a run for it, or none that is not refused because another retraining goes on.

    Nobody will announce a decision again that was given back: it need not wait for anyone to hear it.
    """
    if entry.detail is not None:
        return True
    return datetime.now(UTC) - entry.updated_at >= grace and turns.holder(entry.decision.project) is None


def _has_run(client: SyncPrefectClient, project: Project, entry: DecisionEntry) -> bool:
    """Whether a run for this decision is waiting or under way, whoever started it."""
    runs = client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=["retrain"])),
        deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[project.name])),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=ALIVE))),
    )
    return any(run.parameters.get("decision_id") == entry.decision.id for run in runs)


def _start(client: SyncPrefectClient, project: Project, entry: DecisionEntry) -> FlowRun:
    deployment = client.read_deployment_by_name(f"retrain/{project.name}")
    decision = entry.decision
    parameters = {
        "project_file": str(project.file),
        "decision_id": decision.id,
        "until": decision.window.end.isoformat(),
        "reason": decision.reason,
    }
    return client.create_flow_run_from_deployment(deployment.id, parameters=parameters, tags=[tag(decision.id)])

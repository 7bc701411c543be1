"""Tasks that compare the outbox with what Prefect has run."""

import logging
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound

from components.data.decisions import DecisionEntry
from components.settings.project import Project
from flows.folders import outbox
from flows.tasks.policy import step

log = logging.getLogger(__name__)

# An announced decision is normally picked up within 10 s (event, automation, start of a process).
GRACE = timedelta(seconds=45)
ALIVE = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED, StateType.CANCELLING]


@step
def settle(project: Project) -> list[str]:
    """Give every open decision its one retraining; what was done, one sentence each."""
    return settle_decisions(project, grace=GRACE)


def settle_decisions(project: Project, *, grace: timedelta) -> list[str]:
    """The same, for decisions that have waited longer than `grace`, or whose run has died."""
    box = outbox(project.name)
    done: list[str] = []
    with get_client(sync_client=True) as client:
        released = set()
        for entry in box.running(project.name):
            if (ending := _ended_without_word(client, entry)) is not None:
                box.release(entry.decision.id, ending, run_id=entry.run_id)
                released.add(entry.decision.id)
                done.append(f"decision {entry.decision.id}: its run ended as {ending}; it is open again")
        for entry in box.pending(project.name):
            # Nobody will announce a released decision again: it need not wait for anyone to hear it.
            waited = datetime.now(UTC) - entry.updated_at
            if (entry.decision.id in released or waited >= grace) and not _has_run(client, entry):
                run = _start(client, project, entry)
                done.append(f"decision {entry.decision.id}: no run is carrying it out; started run {run.name}")
    for sentence in done:
        log.warning(sentence)
    return done


def tag(decision_id: str) -> str:
    """The tag by which a run says which decision it is for."""
    return f"decision:{decision_id}"


def _ended_without_word(client: SyncPrefectClient, entry: DecisionEntry) -> str | None:
    """How the run that had claimed the decision ended, if it ended and the decision is still open."""
    try:
        run = client.read_flow_run(UUID(entry.run_id))
    except ObjectNotFound:
        return "unknown to this Prefect server"
    return run.state_name if run.state and run.state.is_final() else None


def _has_run(client: SyncPrefectClient, entry: DecisionEntry) -> bool:
    """Whether a run for this decision is waiting or under way."""
    wanted = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[tag(entry.decision.id)]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=ALIVE)),
    )
    return bool(client.read_flow_runs(flow_run_filter=wanted, limit=1))


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

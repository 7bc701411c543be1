"""The process that serves a project's deployments: it starts a process for each flow run, scheduled or asked for."""

import asyncio
import logging
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import TerminationSignal
from prefect.runner import Runner
from prefect.states import Crashed
from prefect.types._datetime import now

from components.settings.environment import Environment
from components.settings.project import Project
from components.settings.reading import load_project
from flows.deployments import HEARTBEAT_SECONDS, automations, deployments, put_automations
from flows.sending import unknown
from flows.stack import warm
from flows.tasks.reconciling import GRACE, settle_decisions

log = logging.getLogger(__name__)

# Three runs at once: a retraining, a monitor and a reconcile. More would only wait for the two cores of a laptop.
RUNS_AT_ONCE = 3
# A paused run, too, waits in a process of its own: if that is gone, no answer can reach it.
UNDER_WAY = [StateType.PENDING, StateType.RUNNING, StateType.PAUSED, StateType.CANCELLING]


def run(project_file: Path) -> None:
    """Serve the project's deployments until it is stopped."""
    if Environment().warm_runs:
        # Before anything starts a thread. Prefect's runner starts each run with the program that stands here.
        sys.executable = str(warm.start())
    project = load_project(project_file)
    served = deployments(project)
    ids = {deployment.flow_name: _as_uuid(deployment.apply()) for deployment in served}
    put_automations(automations(project, ids["retrain"]))
    with get_client(sync_client=True) as client:
        crash_left_behind(client, list(ids.values()))
    mend(project)
    for sentence in unknown(project):
        log.warning("%s", sentence)
    log.info("deployments served project=%s deployments=%s", project.name, ",".join(sorted(str(name) for name in ids)))
    _serve(served)


def _serve(served: list[RunnerDeployment]) -> None:
    """Start a process for each run that is due, until SIGTERM or SIGINT; as `prefect.serve` does."""
    runner = _Runner(pause_on_shutdown=False, limit=RUNS_AT_ONCE, query_seconds=1, heartbeat_seconds=HEARTBEAT_SECONDS)
    for deployment in served:
        runner.add_deployment(deployment)
    with suppress(KeyboardInterrupt, TerminationSignal):
        asyncio.run(runner.start())


class _Runner(Runner):
    """Prefect's runner, whose health endpoint fails with a traceback until it has polled for the first time."""

    @Runner.last_polled.getter
    def last_polled(self) -> datetime | None:
        """When it last asked for runs that are due; its start, before the first time."""
        polled: datetime | None = Runner.last_polled.fget(self)
        return polled or self.started

    def __init__(self, **settings: Any) -> None:
        """Note the start, then as Prefect does."""
        self.started = now("UTC")
        super().__init__(**settings)


def crash_left_behind(client: SyncPrefectClient, deployment_ids: list[UUID]) -> int:
    """Mark the runs of an earlier runner as crashed; how many there were.

    Only this process runs these deployments, and it has only just started: a run under way belongs to one that was
    killed. Left alone it would stay RUNNING for ever and hold the one slot of its deployment.
    """
    runs = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=UNDER_WAY))),
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=deployment_ids)),
    )
    for left in runs:
        client.set_flow_run_state(left.id, Crashed(message="Its runner was killed."), force=True)
        log.warning("left-behind run marked as crashed run=%s", left.name)
    return len(runs)


def mend(project: Project) -> None:
    """Take up what was decided but not carried out; a failure here must not keep the runner from serving."""
    try:
        settle_decisions(project, grace=GRACE)
    except Exception:
        log.exception("open decisions could not be settled, reconcile will try again project=%s", project.name)


def _as_uuid(found: object) -> UUID:
    return found if isinstance(found, UUID) else UUID(str(found))

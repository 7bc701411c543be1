"""What the demo asks Prefect for, as a scheduler would; and how it sees what came of it."""

import time
from datetime import datetime

import httpx
from prefect.client.orchestration import get_client
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
from prefect.deployments import run_deployment
from prefect.exceptions import PrefectHTTPStatusError

from components.data.decisions import DecisionEntry
from components.errors import ServerError
from flows.folders import outbox

# What a client meets while the supervisor starts a killed server again.
AWAY = (httpx.HTTPError, PrefectHTTPStatusError)
PATIENCE_SECONDS = 90
SETTLED = ("done", "failed", "closed")


def ask(flow_name: str, project_name: str, **parameters: object) -> FlowRun:
    """A run of the deployment, without waiting for it; a server that is being restarted is waited for.

    Raises:
        ServerError: If Prefect does not answer for a minute and a half.
    """
    name = f"{flow_name}/{project_name}"
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            run = run_deployment(name, parameters=parameters, timeout=0, as_subflow=False)
        except AWAY as err:
            if time.monotonic() > end:
                raise ServerError(
                    f"wanted a run of {name}, but Prefect did not answer for {PATIENCE_SECONDS} s: {err}; "
                    "see logs/prefect.log in the home folder"
                ) from err
            time.sleep(1)
        else:
            assert isinstance(run, FlowRun)
            return run


def is_over(run: FlowRun) -> bool:
    """Whether the run has ended well; a server that is being restarted does not know it yet.

    Raises:
        ServerError: If it ended otherwise; with the flow's own words.
    """
    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(run.id).state
    except AWAY:
        return False
    if state is None or not state.is_final():
        return False
    if state.type is not StateType.COMPLETED:
        raise ServerError(
            f"wanted the flow run {run.name} to complete, but it is {state.name}: {state.message}; "
            "read its log in the Prefect UI, or logs/runner.log in the home folder"
        )
    return True


def entry_of_window(project_name: str, end: datetime) -> DecisionEntry:
    """What was decided for the window that ends there.

    Raises:
        ServerError: If nothing was.
    """
    for entry in reversed(outbox(project_name).history(project_name)):
        if entry.decision.window.end == end:
            return entry
    raise ServerError(f"wanted the decision of the window that ends {end:%Y-%m-%d}, found none; see logs/runner.log")


def is_settled(entry: DecisionEntry) -> bool:
    """Whether nothing more will come of the decision."""
    return entry.state in SETTLED


def retrainings_under_way(project_name: str) -> bool:
    """Whether a run of the retrain deployment is waiting or going on; yes, while Prefect cannot be asked."""
    alive = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING]
    try:
        with get_client(sync_client=True) as client:
            runs = client.read_flow_runs(
                flow_filter=FlowFilter(name=FlowFilterName(any_=["retrain"])),
                deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[project_name])),
                flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=alive))),
                limit=1,
            )
    except AWAY:
        return True
    return bool(runs)

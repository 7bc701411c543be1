"""Answering a flow run that waits for a person: what `everfit approve` does."""

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import FlowPauseTimeout, NotPausedError
from prefect.flow_runs import resume_flow_run

from components.errors import ModelNotFound
from components.settings.project import Project


def answer(project: Project, *, approve: bool, reason: str) -> FlowRun:
    """Tell the project's waiting run whether its version may take over; the run.

    Raises:
        ModelNotFound: If no run of the project waits for an answer, or it has expired meanwhile.
    """
    waiting = _waiting(project)
    if waiting is None:
        raise ModelNotFound(
            f"wanted a version of {project.name} that waits for approval, found none; "
            "look at everfit verdict for what became of the last one"
        )
    try:
        resume_flow_run(waiting.id, run_input={"approve": approve, "reason": reason})
    except (FlowPauseTimeout, NotPausedError) as err:
        raise ModelNotFound(
            f"wanted to answer run {waiting.name} of {project.name}, found that it waits no longer: {err}; "
            "it has expired, so the champion stays; train again to be asked again"
        ) from err
    return waiting


def _waiting(project: Project) -> FlowRun | None:
    """The newest paused run of the project's flows."""
    paused = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED])))
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=paused)
    ours = [run for run in runs if run.parameters.get("project_file") == str(project.file)]
    return max(ours, key=lambda run: str(run.created), default=None)

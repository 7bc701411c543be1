"""What Prefect is told: the deployments with their schedules, and the automations that listen for events."""

from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.automations import Automation
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy, StateType
from prefect.deployments.runner import RunnerDeployment
from prefect.events.actions import ChangeFlowRunState, RunDeployment
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType

from components.settings.project import Project
from flows.advance import advance
from flows.events import RETRAIN_EVENT, resource_id
from flows.monitor import monitor
from flows.predict import predict
from flows.reconcile import reconcile
from flows.release import release
from flows.retrain import retrain
from flows.train import train

RECONCILE_CRON = "*/5 * * * *"
HEARTBEAT_SECONDS = 30
# Two heartbeats and a half: a run that has been silent for so long is dead, not slow.
SILENT = timedelta(seconds=75)
# Two retrainings at once would fight for the alias. A second one is refused rather than queued: its decision stays open
# in the outbox, and `reconcile` starts it when the first is done. Of `advance`, the next one looks again anyway.
ONE_AT_A_TIME = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)


def deployments(project: Project) -> list[RunnerDeployment]:
    """The project's deployments, each named after the project: `train/flight-delays` and so on."""
    rollout, probation = project.serving.rollout, project.monitoring.probation
    has_steps = rollout.mode != "direct" or probation.length is not None
    return [
        _deployment(train, project),
        _deployment(release, project),
        _deployment(monitor, project, cron=project.monitoring.schedule),
        _deployment(retrain, project, concurrency=ONE_AT_A_TIME),
        _deployment(reconcile, project, cron=RECONCILE_CRON),
        _deployment(advance, project, cron=rollout.schedule if has_steps else None, concurrency=ONE_AT_A_TIME),
        _deployment(predict, project),
    ]


def _deployment(
    flow: Flow[Any, Any],
    project: Project,
    *,
    cron: str | None = None,
    concurrency: ConcurrencyLimitConfig | None = None,
) -> RunnerDeployment:
    deployment = flow.to_deployment(
        name=project.name,
        parameters={"project_file": str(project.file)},
        schedules=[Cron(cron, timezone="UTC")] if cron else None,
        concurrency_limit=concurrency,
        description=flow.__doc__,
        tags=["everfit", project.name],
        version=project.sha256[:12],
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    assert isinstance(deployment, RunnerDeployment)  # not a coroutine: this is called outside of an event loop
    return deployment


def automations(project: Project, retrain_id: UUID) -> list[Automation]:
    """What follows from which event: a decision starts a retraining; a run that fell silent counts as crashed."""
    return [_retrain_on_decision(project, retrain_id), _crash_the_silent()]


def _retrain_on_decision(project: Project, retrain_id: UUID) -> Automation:
    parameters = {
        "project_file": str(project.file),
        "decision_id": _from_payload("decision_id"),
        "until": _from_payload("until"),
        "reason": _from_payload("reason"),
    }
    return Automation(
        name=f"{project.name}: retrain on decision",
        description="A recorded decision asks for a retraining; the retrain deployment carries it out once.",
        trigger=EventTrigger(
            expect={RETRAIN_EVENT},
            match={"prefect.resource.id": resource_id(project.name)},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[RunDeployment(source="selected", deployment_id=retrain_id, parameters=parameters)],
    )


def _from_payload(field: str) -> dict[str, str]:
    return {"__prefect_kind": "jinja", "template": "{{ event.payload." + field + " }}"}


def _crash_the_silent() -> Automation:
    """A worker that was killed together with its run leaves the run RUNNING for ever, holding its concurrency slot."""
    heartbeat = "prefect.flow-run.heartbeat"
    endings = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed")}
    return Automation(
        name="everfit: a silent run has crashed",
        description="A run whose heartbeat stopped without an end is marked as crashed, which frees its slot.",
        trigger=EventTrigger(
            after={heartbeat},
            expect={heartbeat, *endings},
            match={"prefect.resource.id": ["prefect.flow-run.*"]},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=SILENT,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message="No heartbeat: its process is gone.")],
    )


def put_automations(wanted: list[Automation]) -> None:
    """Create the automations; one of the same name is replaced, so that starting twice leaves one of each."""
    for automation in wanted:
        with suppress(ValueError):  # None of that name: the first start.
            Automation.read(name=automation.name).delete()
        automation.create()

"""Schedules: a cron really creates flow runs, and the runner really runs them."""

from datetime import UTC, datetime

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import CronSchedule

from components.settings.serving import RolloutSettings
from flows.deployments import RECONCILE_CRON, deployments
from tests.flows.harness import Harness, eventually

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(300)]


def test_a_cron_schedule_creates_a_run_that_finishes(live: Harness):
    """With the locked versions a cron fires: with SQLAlchemy 2.1 Prefect looks healthy and no run ever comes.

    The reconcile deployment is put on every minute, so that the test need not wait for its own five.
    """
    began = datetime.now(UTC)
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(f"reconcile/{live.project.name}")
        client.create_deployment_schedules(deployment.id, [(CronSchedule(cron="* * * * *", timezone="UTC"), True)])

    run = eventually(lambda: _finished(live, began), 200, what="a scheduled run to finish")

    assert isinstance(run, FlowRun)
    assert run.auto_scheduled
    assert run.state is not None
    assert run.state.is_completed(), run.state.message


def test_the_deployments_carry_the_schedules_of_the_project(live: Harness):
    """Monitor and a rollout run by the project's crons, reconcile every five minutes; the others when asked for."""
    crons = {d.flow_name: [str(s.schedule.cron) for s in d.schedules or []] for d in deployments(live.project)}

    assert crons["monitor"] == [live.project.monitoring.schedule]
    assert crons["reconcile"] == [RECONCILE_CRON]
    assert crons["train"] == crons["release"] == crons["retrain"] == crons["advance"] == []
    serving = live.project.serving.model_copy(update={"rollout": RolloutSettings(mode="shadow")})
    gradual = deployments(live.project.model_copy(update={"serving": serving}))
    assert [str(s.schedule.cron) for d in gradual if d.flow_name == "advance" for s in d.schedules] == ["*/5 * * * *"]


def _finished(live: Harness, began: datetime) -> FlowRun | None:
    """A scheduled run that was due after that moment; one that was due earlier may have died with a killed runner."""
    for run in live.runs("reconcile"):
        due = run.expected_start_time
        if run.auto_scheduled and due is not None and due > began and run.state is not None and run.state.is_final():
            return run
    return None

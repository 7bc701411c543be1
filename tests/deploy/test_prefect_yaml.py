"""deploy/prefect.yaml and deploy/automations.yaml say what flows/deployments.py does, in Prefect's own words."""

import importlib
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from prefect.cli.deploy._models import PrefectYamlModel
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger
from prefect.events.schemas.automations import AutomationCore
from prefect.schedules import Cron

from components.settings.project import Project
from components.settings.reading import load_project
from flows.deployments import HEARTBEAT_SECONDS, automations, deployments

ROOT = Path(__file__).parents[2]
PROJECT_FILE = "deploy/projects/flight-delays.yaml"
RETRAIN_ID = UUID(int=7)


@pytest.fixture(scope="module")
def project() -> Project:
    """The project that the file deploys."""
    return load_project(ROOT / PROJECT_FILE)


@pytest.fixture(scope="module")
def written() -> dict[str, dict[str, Any]]:
    """The deployments of prefect.yaml, by the name of their flow."""
    facts = yaml.safe_load((ROOT / "deploy/prefect.yaml").read_text())
    PrefectYamlModel.model_validate(facts)
    return {item["entrypoint"].partition(":")[2]: item for item in facts["deployments"]}


@pytest.fixture(scope="module")
def deployed(project: Project) -> dict[str, RunnerDeployment]:
    """What `everfit up` deploys, by the name of the flow."""
    return {str(deployment.flow_name): deployment for deployment in deployments(project)}


def test_the_same_flows_are_deployed_under_the_same_names(written, deployed):
    """Whoever moves from one machine to a work pool finds train/flight-delays and the others again."""
    names = {flow: item["name"] for flow, item in written.items()}

    assert names == {flow: deployment.name for flow, deployment in deployed.items()}


def test_each_entrypoint_is_a_flow_that_takes_these_parameters(written):
    """A flow that was renamed, or a parameter that is gone, is found here and not by the first scheduled run."""
    for flow_name, item in written.items():
        file, _, function = item["entrypoint"].partition(":")
        flow = getattr(importlib.import_module(file.removesuffix(".py").replace("/", ".")), function)
        given = set(item["parameters"])
        for trigger in item.get("triggers", []):
            given |= set(trigger["parameters"])

        assert (ROOT / file).exists()
        assert flow.name == flow_name
        assert given <= set(flow.parameters.properties)
        # Which file to predict is said by whoever starts a run.
        assert set(flow.parameters.required or []) - {"input", "output"} <= set(item["parameters"])


def test_the_project_file_is_there_and_is_the_one_that_is_named(written, project):
    """Deployment, tags and project file speak of the same project."""
    for item in written.values():
        assert item["parameters"] == {"project_file": PROJECT_FILE}
        assert item["name"] == project.name
        assert item["tags"] == ["everfit", project.name]


def test_the_schedules_are_the_same(written, deployed):
    """The monitor runs when the project file says, reconcile every five minutes, the others when asked."""
    for flow_name, deployment in deployed.items():
        wanted = [schedule.schedule for schedule in deployment.schedules or []]
        found = [Cron(s["cron"], timezone=s["timezone"]) for s in written[flow_name].get("schedules", [])]

        assert [(s.cron, s.timezone) for s in found] == [(s.cron, s.timezone) for s in wanted]


def test_the_limits_are_the_same(written, deployed):
    """One retraining at a time; a second one is refused."""
    for flow_name, deployment in deployed.items():
        limit = written[flow_name].get("concurrency_limit", {})
        options = deployment.concurrency_options

        assert limit.get("limit") == deployment.concurrency_limit
        assert limit.get("collision_strategy") == (options.collision_strategy.value if options else None)


def test_a_decision_starts_a_retraining_by_the_same_event(written, project):
    """The trigger in the file listens for the event that the monitor emits, and hands on the same parameters."""
    by_code, _ = automations(project, RETRAIN_ID)
    item = written["retrain"]
    trigger = DeploymentEventTrigger.model_validate(item["triggers"][0])
    trigger.set_deployment_id(RETRAIN_ID)

    by_file = trigger.as_automation()

    assert by_file.name == by_code.name
    assert by_file.trigger.model_dump(exclude={"id"}) == by_code.trigger.model_dump(exclude={"id"})
    # The project file is a default of the deployment in the file, and given by the automation in the code.
    given = by_file.actions[0].parameters | {"project_file": str(project.file)}
    assert given == by_code.actions[0].parameters


def test_a_silent_run_is_crashed_by_the_same_rule(project):
    """A run whose worker and process were killed frees its slot, also on a work pool."""
    facts = yaml.safe_load((ROOT / "deploy/automations.yaml").read_text())
    _, by_code = automations(project, RETRAIN_ID)

    by_file = AutomationCore.model_validate(facts["automations"][0])

    assert by_file.name == by_code.name
    assert by_file.trigger.model_dump(exclude={"id"}) == by_code.trigger.model_dump(exclude={"id"})
    assert [action.model_dump() for action in by_file.actions] == [action.model_dump() for action in by_code.actions]


def test_runs_beat_often_enough_to_be_noticed(written):
    """The runs' heartbeat is the one that the silent-run rule counts on."""
    for item in written.values():
        variables = item["work_pool"]["job_variables"]["env"]

        assert item["work_pool"]["name"] == "everfit"
        assert variables["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == str(HEARTBEAT_SECONDS)

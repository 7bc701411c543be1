"""Tasks that bring a version to the endpoint."""

from datetime import UTC, datetime

from components.records.models import ModelFiles, ModelVersion
from components.records.scores import Verdict
from components.registry import fetching, history, tracking, versions
from components.serving import rollout
from components.settings.environment import Environment
from components.settings.project import Project
from flows.tasks.policy import step


@step
def champion(project: Project) -> ModelFiles | None:
    """The files of the version that has the alias, checked against their manifest; or None if there is none yet."""
    environment = Environment()
    tracking.connect(environment)
    found = versions.champion(project.name)
    return fetching.fetch(found, environment.cache()) if found else None


@step
def promote(version: ModelVersion, verdict: Verdict) -> None:
    """The version takes the alias, and the verdict is stored with it."""
    tracking.connect(Environment())
    versions.promote(version, verdict, at=datetime.now(UTC))


@step
def reject(version: ModelVersion, verdict: Verdict) -> None:
    """The version stays without the alias, and the verdict is stored with it."""
    tracking.connect(Environment())
    versions.reject(version, verdict)


@step
def await_live(version: ModelVersion) -> datetime:
    """The moment from which the endpoint answers with this version."""
    return rollout.await_live(Environment().service, version)


@step
def record_live(version: ModelVersion, since: datetime) -> None:
    """What was live when, written into the registry."""
    environment = Environment()
    tracking.connect(environment)
    history.record_live(version, since, environment.service)

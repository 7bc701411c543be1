"""Tasks that bring a version to the endpoint."""

import logging
from datetime import UTC, datetime

from components.errors import PassingFault
from components.evaluation.judging import with_rule
from components.records.models import ModelFiles, ModelVersion
from components.records.scores import Rule, Verdict
from components.registry import fetching, history, tracking, versions
from components.serving import rollout
from components.settings.environment import Environment
from components.settings.project import Project
from flows.tasks.policy import step

log = logging.getLogger(__name__)


@step
def champion(project: Project) -> ModelFiles | None:
    """The files of the version that has the alias, checked against their manifest; or None if there is none yet."""
    environment = Environment()
    tracking.connect(environment)
    found = versions.champion(project.name)
    return fetching.fetch(found, environment.cache()) if found else None


@step
def confirm(project: Project, champion: ModelFiles | None, verdict: Verdict) -> Verdict:
    """The verdict, if the alias has not moved since: a person may have rolled back while the run trained or waited."""
    tracking.connect(Environment())
    judged, now = champion.version if champion else None, versions.champion(project.name)
    wanted, found = (f"version {one.version}" if one else "none" for one in (judged, now))
    return with_rule(
        verdict, Rule("same_champion", now == judged, f"the champion must still be {wanted}, and is {found}")
    )


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


def is_up() -> bool:
    """Whether the endpoint answers at all; if not, it follows the alias when it is started."""
    try:
        rollout.live_model(Environment().service)
    except PassingFault as err:
        log.warning("endpoint not waited for, it follows when it is up reason=%s", err)
        return False
    return True

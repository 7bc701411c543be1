"""Tasks that take a challenger from step to step, until it is champion or sent away."""

import logging
from datetime import UTC, datetime

from components.evaluation.advancing import advance
from components.evaluation.rivals import Evidence
from components.records.models import Challenger, ModelFiles, ModelVersion
from components.records.rollouts import Step
from components.records.scores import Verdict
from components.registry import challengers, rollout_log, tracking, versions
from components.settings.environment import Environment
from components.settings.project import Project
from flows import rollouts
from flows.tasks.policy import step

log = logging.getLogger(__name__)


@step
def begin(project: Project, version: ModelVersion, verdict: Verdict, champion: ModelFiles) -> None:
    """The version is the project's challenger, at its first step; the one before it is not any more."""
    tracking.connect(Environment())
    versions.log_verdict(version, verdict)
    challengers.put(rollouts.first_step(project, version, champion.version, datetime.now(UTC)))


@step
def challenger(project: Project, champion: ModelFiles | None) -> Challenger | None:
    """The project's challenger; None if there is none. What an earlier run had no time to end is ended."""
    tracking.connect(Environment())
    found = challengers.challenger(project.name)
    if found is None or champion is None:
        return None
    if found.version == champion.version:
        challengers.clear(found.version, "it is champion", datetime.now(UTC), ending="promoted")
        return None
    verdict = versions.read_verdict(found.version)
    if verdict is not None and not verdict.promote:
        challengers.clear(found.version, verdict.reason, datetime.now(UTC))
        return None
    return found


@step
def gather(project: Project, challenger: Challenger, champion: ModelFiles) -> Evidence:
    """What was seen of the challenger beside the champion."""
    environment = Environment()
    tracking.connect(environment)
    return rollouts.seen(project, challenger, champion, environment)


@step
def weigh(project: Project, challenger: Challenger, evidence: Evidence) -> Step:
    """What becomes of it; a step that changes something is kept with the version."""
    tracking.connect(Environment())
    found = advance(challenger, evidence, project.serving.rollout, datetime.now(UTC))
    log.info("challenger weighed version=%d outcome=%s: %s", challenger.version.version, found.outcome, found.reason)
    if found.outcome != "hold":
        rollout_log.log_step(found)
    return found


@step
def step_on(step: Step) -> None:
    """The challenger is at its next step."""
    tracking.connect(Environment())
    assert step.following is not None
    challengers.put(step.following)


@step
def crown(step: Step) -> None:
    """The challenger is champion."""
    tracking.connect(Environment())
    rollouts.crown(step)


@step
def send_away(step: Step) -> None:
    """The challenger is none any more."""
    tracking.connect(Environment())
    rollouts.send_away(step)

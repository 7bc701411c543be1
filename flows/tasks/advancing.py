"""Tasks that take a challenger from step to step, until it is champion or sent away, and then watch it on probation."""

import logging
from datetime import UTC, datetime

from components.evaluation.advancing import advance
from components.evaluation.probation import probation
from components.evaluation.rivals import Evidence
from components.records.models import Challenger, ModelFiles, ModelVersion
from components.records.rollouts import Step
from components.records.scores import Verdict
from components.registry import challengers, rollout_log, tracking, versions
from components.settings.environment import Environment
from components.settings.project import Project
from flows import probations, rollouts
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
    """Who is asked beside the champion; None if nobody is. What an earlier run had no time to end or begin is done."""
    tracking.connect(Environment())
    found = challengers.challenger(project.name)
    if champion is None:
        return None
    if found is None or _is_over(found, champion.version):
        return probations.begin_due(project, champion.version, datetime.now(UTC))
    return found


@step
def begin_probation(project: Project, version: ModelVersion) -> None:
    """The version before this champion answers the same rows unseen from now on, if the project asks for that."""
    tracking.connect(Environment())
    probations.begin_due(project, version, datetime.now(UTC))


@step
def look_back(project: Project, shadow: Challenger, champion: ModelFiles) -> Step:
    """What becomes of the champion on probation, from what it and the version before it answered."""
    environment, now = Environment(), datetime.now(UTC)
    tracking.connect(environment)
    if (left := probations.unfinished(shadow, now)) is not None:
        return left
    seen = probations.seen(project, shadow, champion, environment)
    found = probation(shadow, seen, project.monitoring.probation, now)
    log.info("champion on probation version=%s outcome=%s: %s", shadow.champion, found.outcome, found.reason)
    return found


@step
def take_back(project: Project, step: Step) -> None:
    """The version before is champion again, and the endpoint answers with it."""
    tracking.connect(Environment())
    probations.take_back(project, step)


@step
def end_probation(step: Step) -> None:
    """The probation is over, and the champion stays."""
    tracking.connect(Environment())
    probations.end(step)


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


def _is_over(found: Challenger, champion: ModelVersion) -> bool:
    """Whether it is challenger no more though it still has the alias; then that is ended."""
    now = datetime.now(UTC)
    if found.purpose == "probation":
        return probations.end_overtaken(found, champion, now)
    if found.version == champion:
        challengers.clear(found.version, "it is champion", now, ending="promoted")
        return True
    verdict = versions.read_verdict(found.version)
    if verdict is not None and not verdict.promote:
        challengers.clear(found.version, verdict.reason, now)
        return True
    return False

"""The time after a promotion: the version before answers the same rows unseen, and comes back if it was better.

It is a shadow like that of a rollout, so the endpoint needs to know nothing of it. A probation is due while the newest
move of the alias is a promotion that is younger than the probation's length and has had none: that is looked up, not
noted, so one that a killed run did not begin is begun by the next `advance`.

No Prefect here: `everfit rollout` must work while Prefect is down.
"""

from dataclasses import replace
from datetime import datetime

import polars as pl

from components.data.rivals import read_rivals
from components.errors import ModelNotFound
from components.evaluation import rivals
from components.evaluation.judging import with_rule
from components.evaluation.probation import SURE_AT_EVERY_LOOK, ProbationEvidence
from components.records.models import Challenger, ModelFiles, ModelVersion
from components.records.rollouts import Step
from components.records.scores import Rule, Verdict
from components.registry import challengers, versions
from components.registry.refusals import refused_since
from components.settings.environment import Environment
from components.settings.project import Project
from flows.rollback import Rollback, roll_back
from flows.rollouts import champion_of

# The rule that a probation adds to the verdict of the champion.
PROBATION = "probation"
EVERFIT = "everfit"


def begin_due(project: Project, champion: ModelVersion, now: datetime) -> Challenger | None:
    """The version before, as the shadow of this champion's probation, which begins now; None if none is due."""
    shadow = _due(project, champion, now)
    if shadow is not None:
        challengers.put(shadow)
    return shadow


def end_overtaken(running: Challenger, champion: ModelVersion, now: datetime) -> bool:
    """Whether the champion of this probation is champion no more; then what a killed run did not tidy up is tidied."""
    name, back = champion.name, running.version.version == champion.version
    if running.challenges(champion):
        return False
    moved = versions.moves(name)
    who = moved[-1].who if back and moved else ""
    reason = f"version {champion.version} is champion in place of version {running.champion}"
    challengers.clear(running.version, reason, now, ending="rolled back" if back else "aborted", who=who)
    return True


def seen(project: Project, shadow: Challenger, champion: ModelFiles, environment: Environment) -> ProbationEvidence:
    """What champion and the version before it answered to the same rows since the probation began."""
    schema = champion.schema
    ledger = environment.ledger(project.name)
    frame = read_rivals(ledger, shadow, since=shadow.since, schema=schema, labelled_only=True)
    # Here the champion is the one that is judged.
    turned = frame.with_columns(~frame["is_challenger"])
    both = turned.group_by("prediction_id").len().filter(pl.col("len") == 2).height
    return ProbationEvidence(
        champion=champion_of(project.name).version,  # asked last: the alias may have moved while all this was read
        labelled_rows=both,
        quality=rivals.quality(turned, schema, project.evaluation, is_paired=True, confidence=SURE_AT_EVERY_LOOK),
        refused=refused_since(shadow.version, shadow.since),
    )


def unfinished(shadow: Challenger, now: datetime) -> Step | None:
    """The rollback that was decided and told, but not carried out by a run that was killed; None if there is none."""
    verdict = versions.read_verdict(champion_of(shadow.version.name))
    failed = [rule for rule in verdict.rules if rule.name == PROBATION and not rule.passed] if verdict else []
    return Step("roll_back", failed[0].detail, shadow, now, tuple(failed)) if failed else None


def take_back(project: Project, step: Step) -> Rollback:
    """The version before is champion again, because the one after it was worse; doing it again changes nothing more.

    The verdict of the worse one says so first, so that a run killed behind that is completed by the next.

    Raises:
        ModelRefused: If the version before may not live, or its files are not what was registered.
        PassingFault: If the registry cannot be reached.
        ServerNotHealthy: If the endpoint goes on answering with another version.
    """
    _tell(step, Rule(PROBATION, False, step.reason))
    return roll_back(project, to=step.challenger.version.version, reason=step.reason, who=EVERFIT)


def end(step: Step, who: str = "") -> None:
    """The probation is over and the champion stays; its verdict says with which numbers.

    Args:
        step: What was found.
        who: Who ended it; empty if it was Everfit.
    """
    if step.outcome == "abort" and not who:
        challengers.clear(step.challenger.version, step.reason, step.at)
        return
    by = f"ended by {who}: " if who else ""
    _tell(step, Rule(PROBATION, True, f"{by}{step.reason}"))
    ending: challengers.Ending = "aborted" if who else "kept"
    challengers.clear(step.challenger.version, step.reason, step.at, ending=ending, who=who)


def _due(project: Project, champion: ModelVersion, now: datetime) -> Challenger | None:
    name, length = project.name, project.monitoring.probation.length
    moved = versions.moves(name) if length is not None else []
    if length is None or not moved:
        return None
    last = moved[-1]
    if last.is_rollback or last.version != champion.version or last.before is None or now - last.at >= length:
        return None
    had = [one for one in challengers.episodes(name) if one.probation_of == champion.version and one.since >= last.at]
    before = next((one for one in versions.versions(name) if one.version == last.before), None)
    verdict = versions.read_verdict(before) if before is not None else None
    if had or before is None or verdict is None or not verdict.promote:
        return None  # it has had one, or there is no version that could come back
    return Challenger(before, "shadow", 0.0, 0, now, champion.version, "probation")


def _tell(step: Step, rule: Rule) -> None:
    """The rule stands in the verdict of the champion on probation, in place of an earlier one."""
    shadow = step.challenger
    assert shadow.champion is not None, "a probation is of one champion"
    version = versions.version(shadow.version.name, shadow.champion)
    found = versions.read_verdict(version)
    if found is None:
        raise ModelNotFound(
            f"wanted the verdict on version {version.version} of {version.name}, found that it was never judged; end "
            "its probation in MLflow by removing the alias challenger"
        )
    versions.log_verdict(version, with_rule(_before(found), rule), at=None if rule.passed else step.at)


def _before(verdict: Verdict) -> Verdict:
    """The verdict without what a probation added: a champion was let through."""
    rules = tuple(rule for rule in verdict.rules if rule.name != PROBATION)
    return replace(verdict, rules=rules, outcome="promote") if len(rules) < len(verdict.rules) else verdict

"""What can be asked of a challenger and done with it: for the `advance` flow, and for a person who cannot wait for it.

No Prefect here: `everfit rollout --abort` must work while Prefect is down.
"""

from dataclasses import replace
from datetime import UTC, datetime

from components.data.rivals import read_rivals
from components.errors import ModelNotFound, ModelRefused
from components.evaluation import rivals
from components.evaluation.judging import with_rule
from components.evaluation.rivals import Evidence
from components.records.models import Challenger, ModelFiles, ModelVersion
from components.records.rollouts import Step
from components.records.scores import Rule, Verdict
from components.registry import challengers, versions
from components.registry.refusals import refused_since
from components.serving.rival_counts import rival_counts
from components.settings.environment import Environment
from components.settings.project import Project

# The rule that a rollout adds to the verdict which let the version begin it.
ROLLOUT = "rollout"


def first_step(project: Project, version: ModelVersion, champion: ModelVersion, at: datetime) -> Challenger:
    """The version as challenger of that champion, at the first step of the project's rollout."""
    settings = project.serving.rollout
    if settings.mode == "canary":
        return Challenger(version, "canary", settings.steps[0], 0, at, champion.version)
    return Challenger(version, "shadow", 0.0, 0, at, champion.version)


def seen(project: Project, challenger: Challenger, champion: ModelFiles, environment: Environment) -> Evidence:
    """What the ledger's tables, the endpoint and the registry know of the challenger beside the champion.

    Answers and latency are those of this step; labels come late, so they count since the rollout began.
    """
    name, schema, is_paired = project.name, champion.schema, challenger.variant == "shadow"
    began = [one.since for one in challengers.episodes(name) if one.version == challenger.version.version]
    since = max(began, default=challenger.since)
    everything = read_rivals(environment.ledger(name), challenger, since=since, schema=schema)
    frame = everything.filter(everything["received_at"] >= challenger.since)
    ours, theirs = frame.filter(frame["is_challenger"]), frame.filter(~frame["is_challenger"])
    asked, failed = rival_counts(environment.service, challenger) or (None, None)
    labelled = everything["is_challenger"] & everything["label"].is_not_null()
    return Evidence(
        champion=champion_of(name).version,  # asked last: the alias may have moved while all this was read
        rows=ours.height,
        champion_rows=theirs.height,
        asked=asked,
        failed=failed,
        p99_ms=rivals.p99(ours),
        champion_p99_ms=rivals.p99(theirs),
        disagreement=rivals.disagreement(frame, schema, is_paired=is_paired),
        labelled_rows=int(labelled.sum()),
        quality=rivals.quality(everything, schema, project.evaluation, is_paired=is_paired),
        refused=refused_since(challenger.version, challenger.since),
    )


def crown(step: Step, who: str = "") -> None:
    """The challenger is champion, and challenger no more; doing it again changes nothing.

    Args:
        step: What it was when that was decided, and why.
        who: Who decided; empty if it was Everfit.

    Raises:
        ModelRefused: If its rollout changed since the step was looked at, or its verdict does not let it live.
    """
    version = step.challenger.version
    if versions.champion(version.name) != version:
        if challengers.challenger(version.name) != step.challenger:
            raise ModelRefused(
                f"wanted to promote version {version.version} of {version.name} after step {step.challenger.step}, "
                "found that its rollout changed meanwhile; look at everfit rollout"
            )
        verdict = with_rule(_verdict(version), Rule(ROLLOUT, True, step.reason))
        if not verdict.promote:
            raise ModelRefused(
                f"wanted to promote version {version.version} of {version.name}, found the verdict {verdict.outcome} "
                f"({verdict.reason}); end its rollout with everfit rollout --abort"
            )
        versions.promote(version, verdict, at=datetime.now(UTC))
    challengers.clear(version, step.reason, datetime.now(UTC), ending="promoted", who=who)


def send_away(step: Step, who: str = "") -> None:
    """The challenger is none any more, and its verdict says why it must not go live; doing it again changes nothing.

    Args:
        step: What it was when that was decided, and why.
        who: Who decided; empty if it was Everfit.
    """
    version = step.challenger.version
    # Another champion says nothing bad of it: its verdict is then inconclusive, as in a contest.
    name = next((rule.name for rule in step.missing if rule.name == "same_champion"), ROLLOUT)
    versions.reject(version, with_rule(_verdict(version), Rule(name, False, step.reason)))
    challengers.clear(version, step.reason, datetime.now(UTC), who=who)


def champion_of(name: str) -> ModelVersion:
    """The champion.

    Raises:
        ModelNotFound: If there is none.
    """
    found = versions.champion(name)
    if found is None:
        raise ModelNotFound(f"wanted the champion of {name}, found none; make one with everfit train")
    return found


def _verdict(version: ModelVersion) -> Verdict:
    """The verdict that let it begin, without what an earlier try to end its rollout added."""
    found = versions.read_verdict(version)
    if found is None:
        raise ModelNotFound(
            f"wanted the verdict on version {version.version} of {version.name}, found that it was never judged; end "
            "its rollout in MLflow by removing the alias challenger"
        )
    return replace(found, rules=tuple(rule for rule in found.rules if rule.name != ROLLOUT))

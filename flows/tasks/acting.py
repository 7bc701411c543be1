"""Tasks that carry a decision out: take it from the outbox, see whether it still holds, and end it there."""

from components.data.decisions import DecisionEntry
from components.evaluation.judging import gain_of
from components.records.models import ModelVersion
from components.records.scores import Verdict
from components.registry import outcomes, tracking
from components.settings.environment import Environment
from components.settings.project import Project
from flows.folders import outbox
from flows.tasks.policy import step


@step
def claim(project: Project, decision_id: str, run_id: str) -> bool:
    """Whether this run is the one that carries the decision out; true for exactly one."""
    return outbox(project.name).claim(decision_id, run_id)


@step
def answered(project: Project, decision_id: str, run_id: str) -> str:
    """Why the decision that this run has taken needs no retraining (any more), and is ended; empty if it needs one.

    One run may have been killed when all was done but the note in the outbox. And the version that the decision was
    measured under may have been replaced since, by a promotion or by a rollback: then it is stale.
    """
    tracking.connect(Environment())
    box = outbox(project.name)
    entry = box.entry(decision_id)
    if entry is None:
        return f"decision {decision_id} is not known"
    if (made := outcomes.made_for(project.name, decision_id)) is not None:
        version, verdict = made
        _end(project, decision_id, run_id, verdict, version)
        return f"version {version.version} was made for decision {decision_id} by a run that was killed at its end"
    if reason := _stale(entry):
        box.close(decision_id, "stale", reason, run_id=run_id)
        return f"decision {decision_id} is stale: {reason}"
    return ""


@step
def finish(project: Project, decision_id: str, run_id: str, verdict: Verdict, version: ModelVersion) -> None:
    """The decision is carried out, with what came of it."""
    tracking.connect(Environment())
    _end(project, decision_id, run_id, verdict, version)


def _end(project: Project, decision_id: str, run_id: str, verdict: Verdict, version: ModelVersion) -> None:
    outbox(project.name).finish(
        decision_id,
        verdict.outcome,
        verdict.reason,
        version.version,
        run_id=run_id,
        gain=gain_of(verdict),
        cost=outcomes.training_cost(version),
    )


def _stale(entry: DecisionEntry) -> str:
    """How the version it was measured under was replaced after it was decided; empty if it was not."""
    moved = outcomes.replaced_since(entry.decision.project, entry.decided_at)
    if moved is None or moved.version == entry.decision.version:
        return ""
    how = "a rollback" if moved.is_rollback else "a promotion"
    return (
        f"version {entry.decision.version} was replaced by {moved.version} meanwhile ({how} at "
        f"{moved.at:%Y-%m-%d %H:%M:%S} UTC); the next window looks at that one"
    )

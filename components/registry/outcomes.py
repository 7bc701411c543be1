"""What the registry knows of a decision: which version was made for it, and whether its own version was replaced."""

from datetime import datetime

from mlflow import MlflowClient

from components.records.models import ModelVersion
from components.records.scores import Verdict
from components.registry import challengers, versions
from components.registry.moves import Move
from components.registry.tracking import reaching

TRAINING_COST = "training_cost"


def made_for(name: str, decision_id: str) -> tuple[ModelVersion, Verdict] | None:
    """The version that was made for a decision, and the verdict that was carried out on it; None if there is none.

    A run that is killed between its verdict and the note in the outbox has done its work: it is not done twice.

    Raises:
        PassingFault: If the registry cannot be reached.
    """
    with reaching(f"the version made for decision {decision_id} of {name}"):
        found = [one for one in versions.registered(name) if one.tags.get("decision_id") == decision_id]
    for item in reversed(found):
        version = versions.record(item)
        verdict = versions.read_verdict(version)
        if verdict is not None and (not verdict.promote or _took_over(version)):
            return version, verdict
    return None


def replaced_since(name: str, moment: datetime) -> Move | None:
    """The newest move of the alias after that moment; None if it has stood still.

    Raises:
        PassingFault: If the registry cannot be reached.
    """
    later = [move for move in versions.moves(name) if move.at > moment]
    return later[-1] if later else None


def training_cost(version: ModelVersion) -> float | None:
    """Price of the version's training; None if the project names no price.

    Raises:
        PassingFault: If the registry cannot be reached.
    """
    with reaching(f"the cost of version {version.version} of {version.name}"):
        cost = MlflowClient().get_run(version.run_id).data.metrics.get(TRAINING_COST)
    return None if cost is None else float(cost)


def _took_over(version: ModelVersion) -> bool:
    """Whether the version was champion at some time, or is on its way: the verdict is stored before the alias moves."""
    return challengers.holder(version.name) == version or version.version in {
        move.version for move in versions.moves(version.name)
    }

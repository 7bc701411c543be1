"""The event by which a decision asks for a retraining, and its name: one place for who emits and who listens."""

from typing import Any

from prefect.settings import get_current_settings

from components.records.watching import Decision

RETRAIN_EVENT = "everfit.decision.retrain"


def resource_id(project_name: str) -> str:
    """The Prefect resource that stands for a project."""
    return f"everfit.project.{project_name}"


def has_listener() -> bool:
    """Whether there is a Prefect server that can hear of it; without one, flows run in the process of a command."""
    return bool(get_current_settings().api.url)


def announcement(decision: Decision) -> dict[str, Any]:
    """The arguments of `emit_event` for a decision; `until` is the end of the window that asked for it."""
    return {
        "event": RETRAIN_EVENT,
        "resource": {"prefect.resource.id": resource_id(decision.project), "prefect.resource.name": decision.project},
        "payload": {
            "decision_id": decision.id,
            "project": decision.project,
            "until": decision.window.end.isoformat(),
            "reason": decision.reason,
        },
    }

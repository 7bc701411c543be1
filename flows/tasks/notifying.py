"""The task that tells people what happened. It never fails a flow, and delays it by some seconds at most."""

import logging
from collections.abc import Callable
from typing import Any

from components.records.notices import Notice
from components.settings.project import Project
from flows.notices import note
from flows.sending import send_due
from flows.tasks.policy import step

log = logging.getLogger(__name__)


def tell(project: Project, what: Callable[..., Notice | None], *facts: Any) -> None:
    """Tell whoever the project names, if it names anybody.

    Args:
        project: The project.
        what: Makes the notice from the project and the facts, such as `flows.notices.of_decision`; None is not told.
        facts: What happened.
    """
    if project.monitoring.notices.blocks:
        notify(project, what, facts)


@step
def notify(project: Project, what: Callable[..., Notice | None], facts: tuple[Any, ...]) -> None:
    """Everyone who is to know is told, once; what is told again after a repeated task was told before."""
    try:
        notice = what(project, *facts)
        if notice is not None and note(project, notice):
            send_due(project)
    except Exception:
        log.warning("a notice could not be noted, the flow goes on project=%s", project.name, exc_info=True)


def catch_up(project: Project) -> None:
    """What was not received is sent again."""
    if project.monitoring.notices.blocks:
        remind(project)


@step
def remind(project: Project) -> None:
    """The same as a task."""
    try:
        send_due(project)
    except Exception:
        log.warning("notices could not be sent again project=%s", project.name, exc_info=True)

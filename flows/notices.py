"""What people are told of, from the records of what happened, and where they can look further.

A notice is only written down here, beside the outbox; `flows.sending` sends it through Prefect's blocks. So a rollback
can tell of itself while Prefect is down, and `reconcile` sends it when it is back. No Prefect in this file.
"""

from components.data.notices import Notices
from components.errors import EverfitError
from components.monitoring.breaching import breaches
from components.records.models import ModelVersion
from components.records.notices import Notice
from components.records.rollouts import Step
from components.records.scores import Verdict
from components.records.watching import Decision
from components.registry import history
from components.registry.moves import Move
from components.settings.environment import Environment
from components.settings.project import Project
from flows.browser import default_page
from flows.stack import state


def notice_box(project_name: str) -> Notices:
    """The project's notices, kept in the database of its outbox."""
    folder = Environment().ledger(project_name)
    folder.mkdir(parents=True, exist_ok=True)
    return Notices(f"sqlite:///{folder}/decisions.db")


def note(project: Project, notice: Notice) -> int:
    """Write the notice down for each receiver, if the project wants such an event to be told; how many are new.

    Raises:
        PassingFault: If the database is busy for too long.
    """
    settings = project.monitoring.notices
    if notice.event not in settings.events or not settings.blocks:
        return 0
    return notice_box(project.name).add(notice, settings.blocks)


def of_decision(project: Project, decision: Decision) -> Notice | None:
    """A window that is breached or whose data are broken; None of any other.

    The window stands for it, and not the decision: another policy decides anew about the same breach. What is due by
    the clock is no breach; that a retraining follows from it is told when that begins.
    """
    breached = breaches(decision.facts, project.monitoring, project.evaluation.metric)
    if decision.verdict != "ask" and not breached:
        return None
    event = "broken_data" if decision.verdict == "ask" else "breach"
    what = "has broken data" if event == "broken_data" else "is breached"
    window = decision.window
    return Notice(
        project=project.name,
        event=event,
        key=f"{event}/{window.start.isoformat()}/{window.end.isoformat()}/{decision.version}",
        subject=f"{project.name}: {window} {what}",
        reason=decision.reason,
        link=window_link(project, decision),
        version=decision.version,
    )


def of_retraining(project: Project, reason: str, key: str) -> Notice:
    """A retraining that has begun.

    Args:
        project: The project.
        reason: Why.
        key: The decision that asked for it, or the run if a person did.
    """
    return Notice(
        project.name, "retraining", f"retraining/{key}", f"{project.name}: a retraining begins", reason, page(project)
    )


def of_verdict(project: Project, version: ModelVersion, verdict: Verdict) -> Notice:
    """A version that takes over, or one that is kept back."""
    if not verdict.promote:
        return of_rejection(project, version, verdict.reason)
    return of_promotion(project, version, verdict.reason)


def of_promotion(project: Project, version: ModelVersion, reason: str) -> Notice:
    """A version that is champion."""
    return _of_version(project, version, "promotion", f"version {version.version} is promoted", reason)


def of_rejection(project: Project, version: ModelVersion, reason: str) -> Notice:
    """A version that is kept back, by the judge or in its rollout."""
    return _of_version(project, version, "rejection", f"version {version.version} is not promoted", reason)


def of_rollback(project: Project, version: ModelVersion, move: Move) -> Notice:
    """An earlier version that is champion again."""
    by = f" ({move.who})" if move.who else ""
    return Notice(
        project=project.name,
        event="rollback",
        key=f"rollback/{version.version}/{move.at.isoformat()}",
        subject=f"{project.name}: back to version {version.version} from {move.before}",
        reason=f"{move.reason}{by}",
        link=version_link(project, version),
        version=version.version,
    )


def of_taking_back(project: Project, step: Step) -> Notice:
    """The version before, which is champion again because the one on probation was worse."""
    before, worse = step.challenger.version, step.challenger.champion
    return Notice(
        project=project.name,
        event="rollback",
        key=f"rollback/{before.version}/probation of {worse}/{step.challenger.since.isoformat()}",
        subject=f"{project.name}: back to version {before.version} from {worse}",
        reason=step.reason,
        link=version_link(project, before),
        version=before.version,
    )


def of_test(project: Project) -> Notice:
    """What `everfit notices --test` sends."""
    return Notice(
        project.name,
        "test",
        "test",
        f"{project.name}: a test",
        "Everfit can reach you here; nothing has happened.",
        page(project),
    )


def page(project: Project) -> str:
    """The page about the loop, if it was ever written."""
    written = default_page(project, Environment())
    return str(written) if written.is_file() else ""


def window_link(project: Project, decision: Decision) -> str:
    """The window's report: in Evidently's UI where it runs, else in MLflow's, else as a file."""
    if not decision.facts.report:
        return page(project)
    environment = Environment()
    stack = state.read(environment)
    if stack is not None:
        from components.monitoring.workspace import project_id, run_id

        address = stack.server("evidently").address
        return f"{address}/projects/{project_id(project.name)}/reports/{run_id(project.name, decision.window)}"
    try:
        return history.report_link(project.name, decision.window) or decision.facts.report
    except EverfitError:  # a link is worth no notice that does not come
        return decision.facts.report


def version_link(project: Project, version: ModelVersion) -> str:
    """The version's page in MLflow, where that has a server; else the page about the loop."""
    tracking = Environment().tracking
    if tracking.startswith("http"):
        return f"{tracking}/#/models/{version.name}/versions/{version.version}"
    return page(project)


def _of_version(project: Project, version: ModelVersion, event: str, what: str, reason: str) -> Notice:
    return Notice(
        project=project.name,
        event=event,
        key=f"{event}/{version.version}",
        subject=f"{project.name}: {what}",
        reason=reason,
        link=version_link(project, version),
        version=version.version,
    )

"""The `monitor` flow: measure the newest window of live traffic, and decide what follows from it."""

from datetime import datetime
from pathlib import Path

from prefect import flow

from components.errors import ModelNotFound
from components.records.watching import Decision
from components.settings.reading import load_project
from flows import notices
from flows.tasks import notifying, releasing, watching


@flow(name="monitor")
def monitor(project_file: Path, until: datetime | None = None) -> Decision:
    """Compact the ledger, measure the window, store the report, decide, and say so if a retraining is due.

    The thresholds are those of the project file; after a rollback the version's own, until the file's are changed.

    Args:
        project_file: The project.
        until: End of the window in event time (UTC); now if not given.

    Raises:
        ModelNotFound: If there is no champion yet: nothing has been served, so nothing can be watched.
    """
    project = load_project(project_file)
    champion = releasing.champion(project)
    if champion is None:
        raise ModelNotFound(f"wanted the champion of {project.name}, found none; make one with everfit train")

    project = watching.with_thresholds(project, champion)
    watching.compact(project, champion)
    facts = watching.measure(project, watching.window_until(project, until), champion)
    watching.log_report(project, facts)

    decision = watching.decide(project, facts)
    if decision.verdict == "retrain":
        watching.announce(decision)
    notifying.tell(project, notices.of_decision, decision)
    return decision

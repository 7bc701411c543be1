"""Where Evidently's dashboard finds the runs: one project of its workspace for one of ours, one run a window.

Runs are written under a name made from the window, and in one step: measuring a window again replaces its run, and a
dashboard that reads at this moment, or a kill, never meets half a file.
"""

import json
import logging
import uuid
from collections.abc import Sequence
from pathlib import Path

from evidently import Run
from evidently.sdk.models import DashboardModel, DashboardPanelPlot, DashboardTabModel, ProjectModel
from evidently.ui.workspace import Workspace

from components.monitoring.panels import FIRST_TITLES, TAB, panels_of
from components.monitoring.writing import write_whole
from components.records.watching import Window
from components.settings.project import Project

log = logging.getLogger(__name__)

# Beside the dashboard: which panels it was ever given, by title.
GIVEN = "everfit-panels.json"


def project_id(name: str) -> uuid.UUID:
    """The id of a project in the workspace: the same for the same name, so that it is made once."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"everfit:{name}")


def run_id(name: str, window: Window) -> uuid.UUID:
    """The id of a window's run: the same for the same window, so that measuring again replaces it."""
    return uuid.uuid5(project_id(name), f"{window.start.isoformat()}/{window.end.isoformat()}")


def store(workspace: Path, project: Project, window: Window, run: Run) -> Path:
    """The run's file in the workspace, under the project's dashboard, which is made if there is none.

    Args:
        workspace: Evidently's workspace; made if there is none.
        project: Whose window it is.
        window: The stretch of event time.
        run: What was measured in it.
    """
    ensure_project(workspace, project)
    folder = workspace / str(project_id(project.name)) / "snapshots"
    path = folder / f"{run_id(project.name, window)}.json"
    write_whole(path, run.dumps())
    return path


def ensure_project(workspace: Path, project: Project) -> None:
    """The project stands in the workspace with its dashboard, which is left as people arranged it.

    Panels that a later Everfit brings are added once: one that a person took away does not come back.
    """
    folder = workspace / str(project_id(project.name))
    is_there = (folder / "metadata.json").exists()
    wanted = panels_of(project)
    given = _given(folder, project) if is_there else set()
    missing = [panel for panel in wanted if panel.title not in given]
    if is_there and not missing:
        return
    (folder / "snapshots").mkdir(parents=True, exist_ok=True)
    evidently = Workspace.create(str(workspace))
    _add_panels(evidently, project, missing, is_there=is_there)
    write_whole(folder / GIVEN, json.dumps(sorted({*given, *(panel.title for panel in wanted)}), indent=2))
    if is_there:
        log.info("panels added project=%s panels=%d workspace=%s", project.name, len(missing), workspace)
        return
    # The project last: who finds it finds its dashboard too.
    evidently.add_project(ProjectModel(id=project_id(project.name), name=project.name, description=_described(project)))
    log.info("dashboard made project=%s workspace=%s", project.name, workspace)


def _given(folder: Path, project: Project) -> set[str]:
    """Titles of the panels that the dashboard was ever given."""
    try:
        return set(json.loads((folder / GIVEN).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {title.format(metric=project.evaluation.metric) for title in FIRST_TITLES}


def _add_panels(
    evidently: Workspace, project: Project, panels: Sequence[DashboardPanelPlot], *, is_there: bool
) -> None:
    """Behind those that are there, on the first tab."""
    dashboard = evidently.get_dashboard(project_id(project.name)) if is_there else DashboardModel(tabs=[], panels=[])
    if not dashboard.tabs:
        dashboard.tabs.append(DashboardTabModel(title=TAB, panels=[]))
    dashboard.panels.extend(panels)
    dashboard.tabs[0].panels.extend(panel.id for panel in panels)
    evidently.save_dashboard(project_id(project.name), dashboard)


def _described(project: Project) -> str:
    settings = project.monitoring
    length = f"{settings.window.total_seconds() / 86_400:g} days"
    window = length if settings.window_rows is None else f"{settings.window_rows:,} predictions"
    against = {
        "training": "the training rows of the live version",
        "previous": "the window before it",
        "same-season": "the same days one season earlier",
    }
    return f"Every window of {window} against {against[settings.reference]}"

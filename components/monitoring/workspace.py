"""Where Evidently's dashboard finds the runs: one project of its workspace for one of ours, one run a window.

Runs are written under a name made from the window, and in one step: measuring a window again replaces its run, and a
dashboard that reads at this moment, or a kill, never meets half a file.
"""

import logging
import uuid
from pathlib import Path

from evidently import Run
from evidently.sdk.models import DashboardModel, DashboardPanelPlot, DashboardTabModel, PanelMetric, ProjectModel
from evidently.sdk.panels import bar_plot_panel, line_plot_panel
from evidently.ui.workspace import Workspace

from components.monitoring.report import PREDICTION, Measured
from components.monitoring.writing import write_whole
from components.records.watching import Window
from components.settings.project import Project

log = logging.getLogger(__name__)


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
    """The project stands in the workspace, with its dashboard; one that is there is left as people arranged it."""
    folder = workspace / str(project_id(project.name))
    if (folder / "metadata.json").exists():
        return
    (folder / "snapshots").mkdir(parents=True, exist_ok=True)
    evidently = Workspace.create(str(workspace))
    panels = _panels(project)
    days = project.monitoring.window.total_seconds() / 86_400
    tab = DashboardTabModel(title="Fitness", panels=[panel.id for panel in panels])
    evidently.save_dashboard(project_id(project.name), DashboardModel(tabs=[tab], panels=panels))
    # The project last: who finds it finds its dashboard too.
    evidently.add_project(
        ProjectModel(
            id=project_id(project.name),
            name=project.name,
            description=f"Every window of {days:g} days against the training rows of the live version",
        )
    )
    log.info("dashboard made project=%s workspace=%s", project.name, workspace)


def _panels(project: Project) -> list[DashboardPanelPlot]:
    metric, trigger = project.evaluation.metric, project.monitoring.trigger
    return [
        line_plot_panel(
            title="Share of input columns that drifted",
            description=f"A window is breached from {trigger.drift_share:.0%} on",
            values=[_measured("drift_share", "drifted share"), _measured("drift_limit", "limit")],
            size="half",
        ),
        line_plot_panel(
            title=f"Quality: {metric}",
            description=f"A window is breached when it is {trigger.max_quality_loss:g} worse than at registration",
            values=[_measured("quality", metric), _measured("reference_quality", "at registration")],
            size="half",
        ),
        bar_plot_panel(
            title="Predictions, and those whose label has come",
            values=[_measured("rows", "predictions"), _measured("labelled_rows", "labelled")],
            size="half",
        ),
        line_plot_panel(
            title="Drift of the predictions",
            description="Distance between this window's answers and those to the training rows",
            values=[PanelMetric(metric="ValueDrift", metric_labels={"column": PREDICTION}, legend="effect size")],
            size="half",
        ),
        line_plot_panel(
            title="Missing values",
            description="Averaged over the columns, and in the column that got worst",
            values=[_measured("missing_share", "share missing"), _measured("missing_jump", "worst rise")],
            size="full",
        ),
    ]


def _measured(name: str, legend: str) -> PanelMetric:
    return PanelMetric(metric=Measured.__name__, metric_labels={"name": name}, legend=legend)

"""Evidently's dashboard draws every number of a window, also the dashboard of a project from before it could."""

import json
from datetime import UTC, datetime
from pathlib import Path

from evidently.sdk.models import DashboardModel, DashboardTabModel, ProjectModel
from evidently.ui.workspace import Workspace

from components.monitoring.panels import FIRST_TITLES, numbers_of, panels_of
from components.monitoring.workspace import GIVEN, ensure_project, project_id
from components.records.watching import ColumnFacts, Window, WindowFacts
from components.settings.monitoring import MonitoringSettings, TriggerSettings
from components.settings.project import Project
from tests.components.monitoring.made import project

JUNE = Window(datetime(2013, 6, 1, tzinfo=UTC), datetime(2013, 6, 8, tzinfo=UTC))


def titles(workspace: Path, policy: Project) -> list[str]:
    """Of the project's panels, in order."""
    found = Workspace(str(workspace)).get_dashboard(project_id(policy.name))
    shown = {panel.id: panel.title for panel in found.panels}
    return [shown[panel] for tab in found.tabs for panel in tab.panels]


def test_every_panel_draws_numbers_that_windows_keep():
    """A line without a number would stay empty for ever."""
    column = ColumnFacts("carrier", "category", unseen=0.1, outside=0.2)
    facts = WindowFacts(JUNE, 1, 10, 5, columns=(column,))
    numbers = {name for name in WindowFacts.__dataclass_fields__ if name not in {"window", "columns"}}
    kept = set(numbers_of(facts, project())) | numbers | {"drift_limit", "weighted_limit"}
    kept |= {"missing_share", "missing_jump"}

    drawn = {value.metric_labels.get("name") for panel in panels_of(project()) for value in panel.values} - {None}

    assert drawn <= kept
    assert {"expected_quality", "weighted_drift", "p99_ms", "failed_requests", "serving_cost"} <= drawn


def test_a_limit_that_is_not_set_is_told_and_not_drawn():
    """A policy may leave drift or quality out."""
    trigger = TriggerSettings(drift_share=None, max_quality_loss=None, max_expected_quality_loss=0.1)
    silent = project().model_copy(update={"monitoring": MonitoringSettings(trigger=trigger)})

    told = [panel.subtitle for panel in panels_of(silent)]

    assert told.count("No limit is set") == 2
    assert "drift_limit" not in numbers_of(WindowFacts(JUNE, 1, 10, 5), silent)


def test_an_older_dashboard_gets_the_new_panels_once(tmp_path: Path):
    """What a person added, moved or took away stays so."""
    policy, workspace = project(), tmp_path / "evidently"
    old = [panel for panel in panels_of(policy) if panel.title in {t.format(metric="roc_auc") for t in FIRST_TITLES}]
    evidently = Workspace.create(str(workspace))
    evidently.add_project(ProjectModel(id=project_id(policy.name), name=policy.name))
    tab = DashboardTabModel(title="Fitness", panels=[panel.id for panel in old[1:]])
    evidently.save_dashboard(project_id(policy.name), DashboardModel(tabs=[tab], panels=old[1:]))

    ensure_project(workspace, policy)
    evidently.get_project(project_id(policy.name)).dashboard.delete_panel("Label delay", "Fitness")
    ensure_project(workspace, policy)

    found = titles(workspace, policy)
    assert found[: len(old) - 1] == [panel.title for panel in old[1:]]
    assert "Drift weighted by importance" in found
    assert old[0].title not in found, "a person had taken it away"
    assert "Label delay" not in found
    assert len(found) == len(set(found))
    given = json.loads((workspace / str(project_id(policy.name)) / GIVEN).read_text())
    assert set(given) == {panel.title for panel in panels_of(policy)}

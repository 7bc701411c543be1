"""Tells what was measured in a window: an HTML page for a person, and a point on each line of the dashboard."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.monitoring.guards import Missing
from components.monitoring.report import Shift, assemble
from components.monitoring.workspace import store
from components.monitoring.writing import write_whole
from components.records.watching import Window, WindowFacts
from components.settings.project import Project


def tell(
    facts: WindowFacts,
    project: Project,
    *,
    shifts: Sequence[Shift],
    missing: dict[str, Missing],
    runs: Sequence[Any],
    workspace: Path,
    out: Path,
) -> Path:
    """The page about the window, whose run also stands in Evidently's workspace.

    Args:
        facts: What was measured.
        project: Whose window it is.
        shifts: How far each column moved.
        missing: Shares of missing values by column.
        runs: Evidently's runs over the window.
        workspace: Evidently's workspace.
        out: Folder for the page.
    """
    run = assemble(
        facts.window,
        _numbers(facts, project, missing),
        shifts,
        missing,
        broken=facts.broken_columns,
        runs=runs,
        labels=_labels(facts, project),
    )
    store(workspace, project, facts.window, run)
    page = out / f"{window_name(facts.window)}.html"
    write_whole(page, run.get_html_str(as_iframe=False))
    return page


def window_name(window: Window) -> str:
    """A name for files: the days, with the hours where a window does not begin and end at midnight."""
    ends = (window.start, window.end)
    form = "%Y-%m-%d" if all((time.hour, time.minute, time.second) == (0, 0, 0) for time in ends) else "%Y-%m-%dT%H%M%S"
    return "..".join(time.strftime(form) for time in ends)


def _numbers(facts: WindowFacts, project: Project, missing: dict[str, Missing]) -> dict[str, float]:
    """What the dashboard draws, without what could not be measured."""
    shares = missing.values()
    found = {
        "rows": facts.rows,
        "labelled_rows": facts.labelled_rows,
        "drift_share": facts.drift_share,
        "drift_limit": project.monitoring.trigger.drift_share,
        "quality": facts.quality,
        "reference_quality": facts.reference_quality,
        "missing_share": sum(share.window for share in shares) / max(len(missing), 1),
        "missing_jump": max((share.jump for share in shares), default=0.0),
        "broken_columns": len(facts.broken_columns),
    }
    return {name: float(value) for name, value in found.items() if value is not None}


def _labels(facts: WindowFacts, project: Project) -> dict[str, str]:
    """What stands in large figures on top of the page."""
    labels = {
        "predictions": f"{facts.rows:,}",
        "labelled": f"{facts.labelled_rows:,}",
        "version": str(facts.version),
        "drifted columns": "too few rows" if facts.drift_share is None else f"{facts.drift_share:.0%}",
        project.evaluation.metric: "not known yet" if facts.quality is None else f"{facts.quality:.4f}",
    }
    if facts.reference_quality is not None:
        labels["at registration"] = f"{facts.reference_quality:.4f}"
    if facts.broken_columns:
        labels["broken columns"] = str(len(facts.broken_columns))
    return labels

"""Tells what was measured in a window: an HTML page for a person, and a point on each line of the dashboard."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.monitoring.panels import numbers_of
from components.monitoring.report import assemble
from components.monitoring.shifts import Shift
from components.monitoring.workspace import store
from components.monitoring.writing import write_whole
from components.records.watching import ColumnFacts, Window, WindowFacts
from components.settings.project import Project


def tell(
    facts: WindowFacts,
    project: Project,
    *,
    shifts: Sequence[Shift],
    columns: Sequence[ColumnFacts],
    runs: Sequence[Any],
    workspace: Path,
    out: Path,
) -> Path:
    """The page about the window, whose run also stands in Evidently's workspace.

    Args:
        facts: What was measured.
        project: Whose window it is.
        shifts: How far each column moved.
        columns: What is known of each input column, also where the rows are too few to make facts of it.
        runs: Evidently's runs over the window.
        workspace: Evidently's workspace.
        out: Folder for the page.
    """
    run = assemble(
        facts.window,
        _numbers(facts, project, columns),
        shifts,
        columns,
        runs=runs,
        labels=_labels(facts, project),
        reference=facts.reference,
        breaks=facts.breaks,
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


def _numbers(facts: WindowFacts, project: Project, columns: Sequence[ColumnFacts]) -> dict[str, float]:
    """What the dashboard draws, without what could not be measured."""
    return numbers_of(facts, project) | {
        "missing_share": sum(column.missing for column in columns) / max(len(columns), 1),
        "missing_jump": max((column.missing - column.reference_missing for column in columns), default=0.0),
    }


def _labels(facts: WindowFacts, project: Project) -> dict[str, str]:
    """What stands in large figures on top of the page; what was not measured is left out, but for what matters most."""
    metric = project.evaluation.metric.replace("_", " ")
    quality, expected = _named(metric, facts.quality_low, facts.quality_high), f"expected {metric}"
    found = {
        "predictions": f"{facts.rows:,}",
        "labelled": f"{facts.labelled_rows:,}",
        "version": str(facts.version),
        "drifted columns": "too few rows" if facts.drift_share is None else f"{facts.drift_share:.0%}",
        "drifted of what moves the answer": _share(facts.weighted_drift),
        quality: _figure(facts.quality) or "not known yet",
        _named(expected, facts.expected_low, facts.expected_high): _figure(facts.expected_quality),
        "at registration": _figure(facts.reference_quality),
        "calibration error": _figure(facts.calibration_error),
        "label coverage": _share(facts.label_coverage),
        "hours to a label": "" if facts.label_delay_hours is None else f"{facts.label_delay_hours:,.1f}",
        "contradicting labels": f"{facts.label_conflicts:,}" if facts.label_conflicts else "",
        "ms at p99": "" if facts.p99_ms is None else f"{facts.p99_ms:,.1f}",
        "failed requests": "" if facts.failed_requests is None else f"{facts.failed_requests:,}",
        "cost of serving": "" if facts.serving_cost is None else f"{facts.serving_cost:,.2f}",
        "broken columns": str(len(facts.broken_columns)) if facts.broken_columns else "",
    }
    return {name: text for name, text in found.items() if text}


def _named(name: str, low: float | None, high: float | None) -> str:
    """The name of a figure, with its interval where there is one."""
    return name if low is None or high is None else f"{name}, 95 %: {low:.3f} to {high:.3f}"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"

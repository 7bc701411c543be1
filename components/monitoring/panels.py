"""What Evidently's dashboard draws over time: one panel a question, each line a number that every window keeps."""

from collections.abc import Sequence

from evidently.sdk.models import DashboardPanelPlot, PanelMetric
from evidently.sdk.panels import bar_plot_panel, line_plot_panel

from components.monitoring.report import Measured
from components.monitoring.shifts import PREDICTION
from components.records.watching import WindowFacts
from components.settings.project import Project

# The tab of the whole dashboard; panels that a later Everfit brings are added to it.
TAB = "Fitness"
# What the first dashboards had, from before it was noted which panels a dashboard was given.
FIRST_TITLES = (
    "Share of input columns that drifted",
    "Quality: {metric}",
    "Predictions, and those whose label has come",
    "Drift of the predictions",
    "Missing values",
)


def numbers_of(facts: WindowFacts, project: Project) -> dict[str, float]:
    """What the panels draw of a window, by name; what was not measured is left out.

    The shares of missing values are not among the facts: whoever measured them adds `missing_share` and `missing_jump`.
    """
    found = {
        "rows": facts.rows,
        "labelled_rows": facts.labelled_rows,
        "drift_share": facts.drift_share,
        "drift_limit": project.monitoring.trigger.drift_share,
        "weighted_drift": facts.weighted_drift,
        "weighted_limit": project.monitoring.trigger.weighted_drift,
        "quality": facts.quality,
        "quality_low": facts.quality_low,
        "quality_high": facts.quality_high,
        "expected_quality": facts.expected_quality,
        "expected_low": facts.expected_low,
        "expected_high": facts.expected_high,
        "reference_quality": facts.reference_quality,
        "calibration_error": facts.calibration_error,
        "label_coverage": facts.label_coverage,
        "label_delay_hours": facts.label_delay_hours,
        "label_conflicts": facts.label_conflicts,
        "p50_ms": facts.p50_ms,
        "p99_ms": facts.p99_ms,
        "requests": facts.requests,
        "failed_requests": facts.failed_requests,
        "serving_cost": facts.serving_cost,
        "training_cost": facts.training_cost,
        "unseen_share": max((c.unseen for c in facts.columns if c.unseen is not None), default=None),
        "outside_share": max((c.outside for c in facts.columns if c.outside is not None), default=None),
        "broken_columns": len(facts.broken_columns),
        "broken_checks": len(facts.breaks),
    }
    return {name: float(value) for name, value in found.items() if value is not None}


def panels_of(project: Project) -> list[DashboardPanelPlot]:
    """Every panel, in the order in which a new dashboard shows them."""
    return [*_drift_and_quality(project), *_labels(project), *_data(), *_service()]


def _drift_and_quality(project: Project) -> list[DashboardPanelPlot]:
    metric, trigger = project.evaluation.metric, project.monitoring.trigger
    share, loss = trigger.drift_share, trigger.max_quality_loss
    return [
        _lines(
            "Share of input columns that drifted",
            "No limit is set" if share is None else f"A window is breached from {share:.0%} on",
            drift_share="drifted share",
            drift_limit="limit",
        ),
        _lines(
            f"Quality: {metric}",
            "No limit is set"
            if loss is None
            else f"A window is breached when it is {loss:g} worse than at registration",
            quality=metric,
            quality_low="lowest, 95 %",
            quality_high="highest, 95 %",
            reference_quality="at registration",
        ),
        _lines(
            "Drift weighted by importance",
            "Share of what moves the answer that the drifted columns have",
            weighted_drift="weighted share",
            weighted_limit="limit",
        ),
        _lines(
            f"Expected quality: {metric}",
            "What the version's own probabilities let expect before labels come, beside what the labels said",
            expected_quality="expected",
            expected_low="lowest, 95 %",
            expected_high="highest, 95 %",
            quality="by labels",
        ),
        line_plot_panel(
            title="Drift of the predictions",
            description="Distance between this window's answers and those to the reference",
            values=[PanelMetric(metric="ValueDrift", metric_labels={"column": PREDICTION}, legend="effect size")],
            size="half",
        ),
        _lines(
            "Calibration error",
            "Average gap between how sure the version was and how often it was right",
            calibration_error="gap",
        ),
    ]


def _labels(project: Project) -> list[DashboardPanelPlot]:
    return [
        _bars("Predictions, and those whose label has come", "", rows="predictions", labelled_rows="labelled"),
        _lines(
            "Label coverage",
            f"Share of the rows; {project.monitoring.trigger.min_labelled_rows:,} labels are needed to judge",
            label_coverage="with a label",
        ),
        _lines("Label delay", "Median hours from a prediction to its label", label_delay_hours="hours"),
        _bars("Labels that contradict each other", "The newest counts", label_conflicts="predictions"),
    ]


def _data() -> list[DashboardPanelPlot]:
    return [
        _lines(
            "Missing values",
            "Averaged over the columns, and in the column that got worst",
            missing_share="share missing",
            missing_jump="worst rise",
        ),
        _lines(
            "Values never seen in training",
            "In the worst column: new categories, and numbers out of range",
            unseen_share="new categories",
            outside_share="out of range",
        ),
    ]


def _service() -> list[DashboardPanelPlot]:
    return [
        _lines(
            "Latency in ms", "Half of the requests took less than p50, 99 % less than p99", p50_ms="p50", p99_ms="p99"
        ),
        _bars("Failed requests", "Answered with a 5xx", failed_requests="failed"),
        _bars("Requests", "Counted by the endpoint", requests="requests"),
        _bars("Cost", "In the currency of the project's prices", serving_cost="serving", training_cost="training"),
    ]


def _lines(title: str, description: str, **lines: str) -> DashboardPanelPlot:
    return line_plot_panel(title=title, description=description, values=_measured(lines), size="half")


def _bars(title: str, description: str, **bars: str) -> DashboardPanelPlot:
    return bar_plot_panel(title=title, description=description or None, values=_measured(bars), size="half")


def _measured(lines: dict[str, str]) -> Sequence[PanelMetric]:
    """One line for each number that windows keep under that name."""
    return [
        PanelMetric(metric=Measured.__name__, metric_labels={"name": name}, legend=legend)
        for name, legend in lines.items()
    ]

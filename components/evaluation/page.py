"""The scorecard as one HTML page for people who would rather look than read; it needs no script and no server.

Markup and style stand in the folder `template`; here the scorecard becomes the words and figures that they show. Names
of columns and categories come from data: all of them are escaped.
"""

import base64
import logging
import math
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from components.evaluation.metrics import METRICS
from components.records.rows import Schema
from components.records.scores import Scorecard
from components.settings.evaluation import EvaluationSettings

log = logging.getLogger(__name__)

DASH, MINUS = "–", "−"  # noqa: RUF001  as tables have them
TEMPLATE = Path(__file__).parent / "template"
METRIC_NAMES = {
    "roc_auc": "ROC AUC",
    "log_loss": "log loss",
    "macro_f1": "macro F1",
    "brier": "Brier score",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
}
# A slice counts as better or worse from this share of the overall value on; less is no more than how slices differ.
NOTABLE = 0.02
# What is measured of the graph and not of its answers: what it is, and its unit.
COSTS = {
    "latency_p50_ms": ("one row, half of the calls", "ms"),
    "latency_p99_ms": ("one row, 99 of 100 calls", "ms"),
    "rows_per_second": ("throughput, 1,024 rows a call", "rows/s"),
    "load_ms": ("from the file to the first answer", "ms"),
    "size_mb": ("size of the graph", "MB"),
    "peak_mb": ("peak memory of its process", "MB"),
    "cost_per_million": ("price of a million rows", ""),
    "training_cost": ("price of the training", ""),
}
COMPARATORS = {
    "constant": "always the same answer",
    "linear": "a linear model",
    "trees": "boosted trees",
}
GAPS = {
    "demographic_parity_difference": "share answered 1 (demographic parity)",
    "true_positive_rate_difference": "share of 1 that is caught (true-positive rate)",
    "false_positive_rate_difference": "share of 0 that is called 1 (false-positive rate)",
    "equalized_odds_difference": "the larger of these two (equalised odds)",
    "error_rate_difference": "share answered wrong (error rate)",
    "mean_error_difference": "mean of predicted minus true",
}
PICTURES = {
    "roc_curve": "How many are caught, at the price of how many false alarms",
    "precision_recall": "How many alarms are right, for how many that are caught",
    "calibration": "Whether the probabilities can be taken at their word",
    "probabilities": "Where the probabilities of the two classes lie",
    "confusion_matrix": "What is taken for what",
    "predicted_and_true": "What was predicted, and what was true",
    "residuals": "How far off, and to which side",
    "slices": "Where the model is better and where it is worse",
}


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of a table of figures; `good` is None where there is no better side."""

    name: str
    value: str
    note: str = ""
    good: bool | None = None
    extra: str = ""


def write_page(scorecard: Scorecard, schema: Schema, settings: EvaluationSettings, folder: Path) -> Path:
    """The page about a scorecard as `scorecard.html` in the folder, pictures included.

    Args:
        scorecard: What was measured; its PNG files must be there.
        schema: Kind and name of the target.
        settings: Which metric decides, its minimum and the confidence of the intervals.
        folder: Where the page goes.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters["count"] = "{:,.0f}".format
    loss = "rmse" if schema.target_kind == "regression" else "log_loss"
    html = environment.get_template("scorecard.html.j2").render(
        card=scorecard,
        schema=schema,
        metric=_name(settings.metric),
        confidence=f"{settings.confidence * 100:g} %",
        lower_is_better=METRICS[settings.metric].lower_is_better,
        answer=answer(scorecard, settings),
        headline=headline(scorecard, settings),
        tiles=_tiles(scorecard, settings),
        metrics=_metrics(scorecard, settings),
        margins=_margins(scorecard, settings),
        costs=_costs(scorecard),
        declared=_declared(scorecard, settings),
        found=_found(scorecard, settings, loss),
        loss=f"{_name(loss)} (all rows: {figure(scorecard.metrics.get(loss, math.nan))})",
        gaps=_gaps(scorecard),
        pictures=[(PICTURES.get(path.stem, path.stem), _inlined(path)) for path in scorecard.plots],
        style=Markup((TEMPLATE / "scorecard.css").read_text(encoding="utf-8")),  # noqa: S704  our own file
    )
    path = folder / "scorecard.html"
    path.write_text(html, encoding="utf-8")
    log.info("page written path=%s megabytes=%.1f", path, len(html) / 1e6)
    return path


def answer(scorecard: Scorecard, settings: EvaluationSettings) -> tuple[str, str]:
    """Is it good? In a few words, with `good`, `fair` or `bad`."""
    name, value = settings.metric, scorecard.metrics.get(settings.metric)
    if value is None:
        return f"{_name(name)} is not defined on these rows", "bad"
    if settings.minimum is not None and _gain(name, value, settings.minimum) < 0:
        return f"Below the minimum of {figure(settings.minimum)}", "bad"
    beaten = [simple for simple, gain in scorecard.margins.items() if gain <= 0]
    if "constant" in beaten:
        return "No better than always the same answer: it has learned nothing", "bad"
    if beaten:
        return f"No better than {' and '.join(COMPARATORS[simple] for simple in beaten)}", "fair"
    if not all(rule.passed for rule in scorecard.behaviours):
        return "It does not behave as it must", "fair"
    return "Better than every simple model it was compared with" if scorecard.margins else "Measured", "good"


def headline(scorecard: Scorecard, settings: EvaluationSettings) -> str:
    """The deciding metric with its interval, and what it gains over simple models, as one sentence."""
    name, value = settings.metric, scorecard.metrics.get(settings.metric)
    if value is None:
        return f"{_name(name)} could not be measured on {scorecard.rows:,} rows."
    low, high = scorecard.intervals.get(name, (math.nan, math.nan))
    between = f", between {figure(low)} and {figure(high)}" if math.isfinite(low) else ""
    gains = [
        f"{'better' if gain > 0 else 'worse'} by {figure(abs(gain))} than {COMPARATORS[simple]}"
        for simple, gain in scorecard.margins.items()
    ]
    than = f": {', '.join(gains)}" if gains else ""
    direction = " (lower is better)" if METRICS[name].lower_is_better else ""
    return f"{_name(name)} {figure(value)}{between}{direction}{than}."


def figure(value: float) -> str:
    """The number with three decimals, or with three digits where those would say too little or too much."""
    if not math.isfinite(value):
        return DASH
    return f"{value:.3f}" if value == 0 or 0.001 <= abs(value) < 100 else f"{value:,.4g}"


def _signed(value: float) -> str:
    return f"{'+' if value >= 0 else MINUS}{figure(abs(value))}"


def _name(metric: str) -> str:
    return METRIC_NAMES.get(metric, metric.replace("_", " "))


def _gain(metric: str, value: float, other: float) -> float:
    """By how much the value is better than the other one."""
    return other - value if METRICS[metric].lower_is_better else value - other


def _tiles(scorecard: Scorecard, settings: EvaluationSettings) -> list[_Line]:
    name, tiles = settings.metric, []
    if name in scorecard.metrics:
        note = "" if settings.minimum is None else f"the minimum is {figure(settings.minimum)}"
        tiles.append(_Line(_name(name), figure(scorecard.metrics[name]), note))
    if scorecard.margins:
        simple, gain = min(scorecard.margins.items(), key=lambda margin: margin[1])
        tiles.append(_Line("gain over the best simple model", _signed(gain), COMPARATORS[simple], gain > 0))
    if scorecard.behaviours:
        passed, asked = sum(rule.passed for rule in scorecard.behaviours), len(scorecard.behaviours)
        tiles.append(_Line("behaviours held", f"{passed} of {asked}", "", passed == asked))
    if "latency_p99_ms" in scorecard.metrics:
        speed = f"{scorecard.metrics['rows_per_second']:,.0f} rows/s"
        tiles.append(_Line("99 of 100 answers within", f"{scorecard.metrics['latency_p99_ms']:.3g} ms", speed))
    elif "size_mb" in scorecard.metrics:
        tiles.append(_Line("size of the graph", f"{scorecard.metrics['size_mb']:.3g} MB"))
    return tiles


def _metrics(scorecard: Scorecard, settings: EvaluationSettings) -> list[_Line]:
    """The metrics of the answers, the deciding one first."""
    names = sorted((name for name in scorecard.metrics if name in METRICS), key=lambda name: name != settings.metric)
    lines = []
    for name in names:
        low, high = scorecard.intervals.get(name, (math.nan, math.nan))
        direction = "lower is better" if METRICS[name].lower_is_better else "higher is better"
        between = f"{figure(low)} to {figure(high)}" if math.isfinite(low) else DASH
        lines.append(_Line(_name(name), figure(scorecard.metrics[name]), direction, extra=between))
    return lines


def _margins(scorecard: Scorecard, settings: EvaluationSettings) -> list[_Line]:
    """Each simple model with its own value and the gain over it."""
    name, lines = settings.metric, []
    for simple, gain in scorecard.margins.items():
        own = scorecard.metrics[name] + (gain if METRICS[name].lower_is_better else -gain)
        lines.append(_Line(COMPARATORS[simple], _signed(gain), simple, gain > 0, figure(own)))
    return lines


def _costs(scorecard: Scorecard) -> list[_Line]:
    known = [(scorecard.metrics[name], *words) for name, words in COSTS.items() if name in scorecard.metrics]
    return [
        _Line(name, f"{f'{value:,.0f}' if value >= 1_000 else f'{value:.3g}'} {unit}") for value, name, unit in known
    ]


def _declared(scorecard: Scorecard, settings: EvaluationSettings) -> list[_Line]:
    """Each slice with its rows, its deciding metric, and how far that is from all rows'."""
    name, overall, lines = settings.metric, scorecard.metrics.get(settings.metric), []
    for slice_name, values in scorecard.slices.items():
        value, rows = values.get(name), f"{values['rows']:,.0f}"
        if value is None or overall is None:
            lines.append(_Line(slice_name, DASH, DASH, extra=rows))
        else:
            better = None if abs(value - overall) < NOTABLE * abs(overall) else _gain(name, value, overall) > 0
            lines.append(_Line(slice_name, figure(value), _signed(value - overall), better, rows))
    return lines


def _found(scorecard: Scorecard, settings: EvaluationSettings, loss: str) -> list[_Line]:
    """Each slice with its rows, its deciding metric, and the loss that it was found by."""
    return [
        _Line(
            name=slice_name,
            value=figure(values.get(settings.metric, math.nan)),
            note=figure(values.get(loss, math.nan)),
            good=False,
            extra=f"{values['rows']:,.0f}",
        )
        for slice_name, values in scorecard.found_slices.items()
    ]


def _gaps(scorecard: Scorecard) -> dict[str, list[_Line]]:
    return {
        column: [
            _Line(GAPS.get(name, _name(name.removesuffix("_difference"))), figure(gap)) for name, gap in gaps.items()
        ]
        for column, gaps in scorecard.gaps.items()
    }


def _inlined(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"

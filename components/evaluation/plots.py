"""The pictures of a scorecard, one PNG each; every title states the number that the picture shows.

Drawn on matplotlib figures directly, never through pyplot, so nothing global is touched and several flows can draw at
the same time in one process.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter

from components.evaluation.metrics import threshold_counts
from components.evaluation.predicting import Array, Outputs
from components.records.rows import Schema

INK, SOFT, GRID = "#1f2933", "#7b8794", "#e4e7eb"
BLUE, ORANGE = "#2563eb", "#ea580c"
INCHES, DPI = (7.2, 5.0), 130
# A curve of more points than this looks the same and only makes the file larger.
CURVE_POINTS = 800
# More bars than this cannot be read; the largest slices are kept.
MOST_SLICES = 24
CALIBRATION_BINS = 10

Values = Mapping[str, float]


def draw_plots(
    truth: Array,
    outputs: Outputs,
    schema: Schema,
    metrics: Values,
    slices: Mapping[str, Values],
    metric: str,
    folder: Path,
) -> tuple[Path, ...]:
    """The PNG files that suit this kind of target, drawn into the folder.

    Args:
        truth: True answers, shape (rows,).
        outputs: The model's answers to the same rows.
        schema: Kind of the target, its name and its classes.
        metrics: The scorecard's metrics, for the titles.
        slices: The scorecard's slices, each with its `rows`.
        metric: Name of the metric whose slices are drawn.
        folder: Where the files go.
    """
    drawings: dict[str, Callable[[Axes], None]] = {}
    if schema.target_kind == "binary" and outputs.probability is not None and np.unique(truth).size == 2:
        probability = outputs.probability
        drawings["roc_curve"] = lambda axes: _roc_curve(axes, truth, probability, metrics)
        drawings["precision_recall"] = lambda axes: _precision_recall(axes, truth, probability, metrics)
        drawings["calibration"] = lambda axes: _calibration(axes, truth, probability, metrics)
        drawings["probabilities"] = lambda axes: _probabilities(axes, truth, probability, schema.target)
    if schema.target_kind == "multiclass":
        drawings["confusion_matrix"] = lambda axes: _confusion(axes, truth, outputs.prediction, schema.classes, metrics)
    if schema.target_kind == "regression":
        drawings["predicted_and_true"] = lambda axes: _predicted(
            axes, truth, outputs.prediction, schema.target, metrics
        )
        drawings["residuals"] = lambda axes: _residuals(axes, truth, outputs.prediction, schema.target, metrics)
    if any(metric in values for values in slices.values()):
        drawings["slices"] = lambda axes: _slices(axes, slices, metric, metrics.get(metric))
    return tuple(_draw(folder / f"{name}.png", drawing) for name, drawing in drawings.items())


def _draw(path: Path, drawing: Callable[[Axes], None]) -> Path:
    figure = Figure(figsize=INCHES, dpi=DPI, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SOFT)
    axes.tick_params(colors=INK, labelsize=10)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    drawing(axes)
    figure.savefig(path)
    return path


def _say(axes: Axes, title: str, across: str, up: str) -> None:
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", color=INK, pad=12)
    axes.set_xlabel(across, fontsize=11, color=INK)
    axes.set_ylabel(up, fontsize=11, color=INK)


def _legend(axes: Axes, place: Literal["best", "lower right", "upper left", "upper right"] = "best") -> None:
    axes.legend(loc=place, frameon=False, fontsize=10, labelcolor=INK)


def _roc_curve(axes: Axes, truth: Array, probability: Array, metrics: Values) -> None:
    caught, alarms = threshold_counts(truth, probability)
    across, up = _thinned(alarms / (truth == 0).sum(), caught / truth.sum())
    axes.plot(across, up, color=BLUE, linewidth=2.2, label="model")
    axes.fill_between(across, up, color=BLUE, alpha=0.08)
    axes.plot([0, 1], [0, 1], color=SOFT, linestyle="--", linewidth=1.2, label="chance")
    axes.set(xlim=(0, 1), ylim=(0, 1.01))
    title = f"ROC AUC {metrics['roc_auc']:.3f} on {truth.size:,} rows"
    _say(axes, title, "false alarms: share of class 0 called 1", "caught: share of class 1 called 1")
    _legend(axes, "lower right")


def _precision_recall(axes: Axes, truth: Array, probability: Array, metrics: Values) -> None:
    caught, alarms = threshold_counts(truth, probability)
    share = truth.mean()
    across, up = _thinned(caught[1:] / truth.sum(), caught[1:] / (caught[1:] + alarms[1:]))
    axes.plot(across, up, color=BLUE, linewidth=2.2, label="model", drawstyle="steps-pre")
    axes.axhline(share, color=SOFT, linestyle="--", linewidth=1.2, label=f"chance: {share:.1%} are class 1")
    axes.set(xlim=(0, 1), ylim=(0, 1.01))
    title = f"Average precision {metrics['average_precision']:.3f} on {truth.size:,} rows"
    _say(axes, title, "recall: share of class 1 called 1", "precision: share of those called 1 that are 1")
    _legend(axes, "upper right")


def _calibration(axes: Axes, truth: Array, probability: Array, metrics: Values) -> None:
    """Bins of equal rows, so each dot is equally sure; grey columns say how many rows stand where."""
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, CALIBRATION_BINS + 1)))
    place = np.clip(np.searchsorted(edges, probability, side="right") - 1, 0, max(edges.size - 2, 0))
    counts = np.bincount(place)
    held = counts > 0
    stated = np.bincount(place, probability)[held] / counts[held]
    observed = np.bincount(place, truth)[held] / counts[held]
    reach = 1.96 * np.sqrt(observed * (1 - observed) / counts[held])
    heights, sides = np.histogram(probability, bins=40, range=(0, 1))
    axes.bar(
        sides[:-1], heights / heights.max() * 0.25, np.diff(sides), align="edge", color=GRID, label="rows (scaled)"
    )
    axes.plot([0, 1], [0, 1], color=SOFT, linestyle="--", linewidth=1.2, label="perfect")
    axes.errorbar(
        stated,
        observed,
        yerr=reach,
        color=BLUE,
        marker="o",
        linewidth=1.8,
        capsize=3,
        label="model, tenths of the rows",
    )
    top = min(1.0, max(0.3, float(max(stated.max(), (observed + reach).max())) * 1.12))
    axes.set(xlim=(0, top), ylim=(0, top))
    means = f"{probability.mean():.1%} stated, {truth.mean():.1%} true"
    _say(
        axes,
        f"Calibration error {metrics['calibration_error']:.3f}; on average {means}",
        "probability stated by the model",
        "share that turned out to be class 1",
    )
    _legend(axes, "upper left")


def _probabilities(axes: Axes, truth: Array, probability: Array, target: str) -> None:
    for value, color in ((0, SOFT), (1, ORANGE)):
        chosen = probability[truth == value]
        label = f"{target} = {value}: {chosen.size:,} rows, mean {chosen.mean():.2f}"
        weights = np.full(chosen.size, 1 / chosen.size)
        axes.hist(chosen, bins=40, range=(0, 1), weights=weights, color=color, alpha=0.55, label=label)
    axes.axvline(0.5, color=INK, linestyle=":", linewidth=1.2)
    axes.set_xlim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    title = f"Called 1 from 0.5 on: {(probability >= 0.5).mean():.1%} of {truth.size:,} rows"
    _say(axes, title, "probability of class 1", "share of the class's rows")
    _legend(axes, "upper right")


def _slices(axes: Axes, slices: Mapping[str, Values], metric: str, overall: float | None) -> None:
    rows = sorted((name for name in slices if metric in slices[name]), key=lambda name: -slices[name]["rows"])
    names = sorted(rows[:MOST_SLICES], key=lambda name: (name.split("=")[0], slices[name][metric]))
    values = np.array([slices[name][metric] for name in names])
    axes.figure.set_size_inches(INCHES[0], max(2.6, 1.5 + 0.3 * len(names)))  # type: ignore[union-attr]  # a Figure here
    axes.barh(range(len(names)), values, height=0.68, color=BLUE, alpha=0.85)
    axes.set_yticks(range(len(names)), [f"{name}  ({slices[name]['rows']:,.0f})" for name in names])
    for place, value in enumerate(values):
        axes.text(value / 2, place, f"{value:.3f}", ha="center", va="center", color="white", fontsize=10)
    if overall is not None:
        axes.axvline(overall, color=ORANGE, linewidth=1.6, linestyle="--", label=f"all rows: {overall:.3f}")
        axes.figure.legend(loc="outside lower right", frameon=False, fontsize=10, labelcolor=INK)
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.1)
    _say(axes, f"{metric} by slice: {values.min():.3f} to {values.max():.3f}", metric, "slice (rows)")


def _predicted(axes: Axes, truth: Array, prediction: Array, target: str, metrics: Values) -> None:
    ends = [float(min(truth.min(), prediction.min())), float(max(truth.max(), prediction.max()))]
    cells = axes.hexbin(truth, prediction, gridsize=45, mincnt=1, cmap="Blues", bins="log", linewidths=0.2)
    axes.plot(ends, ends, color=ORANGE, linestyle="--", linewidth=1.4, label="perfect")
    bar = axes.figure.colorbar(cells, ax=axes, pad=0.02, format=StrMethodFormatter("{x:,.0f}"))
    bar.set_label("rows", fontsize=11, color=INK)
    spread = f", R² {metrics['r2']:.3f}" if "r2" in metrics else ""
    _say(axes, f"RMSE {metrics['rmse']:.4g}{spread} on {truth.size:,} rows", f"true {target}", f"predicted {target}")
    _legend(axes, "upper left")


def _residuals(axes: Axes, truth: Array, prediction: Array, target: str, metrics: Values) -> None:
    """The outermost half per cent on each side is gathered in the last column: one row must not set the scale."""
    gaps = prediction - truth
    low, high = np.quantile(gaps, [0.005, 0.995])
    axes.hist(np.clip(gaps, low, high), bins=60, color=BLUE, alpha=0.8)
    axes.axvline(0, color=INK, linewidth=1.2, linestyle=":")
    axes.axvline(gaps.mean(), color=ORANGE, linewidth=1.6, linestyle="--", label=f"mean {gaps.mean():+.3g}")
    _say(axes, f"MAE {metrics['mae']:.4g}, bias {gaps.mean():+.3g}", f"predicted minus true {target}", "rows")
    _legend(axes)


def _confusion(axes: Axes, truth: Array, prediction: Array, classes: tuple[str, ...], metrics: Values) -> None:
    size = len(classes)
    counts = np.bincount(truth * size + prediction, minlength=size * size).reshape(size, size)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.grid(visible=False)
    for row, column in np.ndindex(size, size) if size <= 12 else ():
        color = "white" if shares[row, column] > 0.55 else INK
        text = f"{shares[row, column]:.0%}\n{counts[row, column]:,}"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=10)
    axes.set_xticks(range(size), classes, rotation=0 if size <= 6 else 45)
    axes.set_yticks(range(size), classes)
    title = f"Accuracy {metrics['accuracy']:.3f}, macro F1 {metrics['macro_f1']:.3f} on {truth.size:,} rows"
    _say(axes, title, "predicted class", "true class (share of its rows)")


def _thinned(across: Array, up: Array) -> tuple[Array, Array]:
    places = np.unique(np.linspace(0, across.size - 1, min(across.size, CURVE_POINTS)).astype(int))
    return across[places], up[places]

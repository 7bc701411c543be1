"""The pictures of a scorecard, one PNG each; every title states the number that the picture shows."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from components.evaluation import curves
from components.evaluation.canvas import (
    BLUE,
    INK,
    ORANGE,
    Drawing,
    Values,
    draw,
    heading,
    legend,
    panel,
    say,
    shortened,
)
from components.evaluation.predicting import Array, Outputs
from components.records.rows import Schema

# More slices than this cannot be read; the largest declared ones are kept beside those that were found.
MOST_SLICES = 24
SLICE_LETTERS = 48
# Inches: names of pairs need room beside the dots.
SLICES_WIDE = 8.6
# A confusion matrix of more classes is coloured, but the numbers in it cannot be read.
NUMBERED_CLASSES = 12
CLASS_LETTERS = 16

Intervals = Mapping[str, tuple[float, float]]


def draw_plots(truth: Array, outputs: Outputs, schema: Schema, metrics: Values, folder: Path) -> tuple[Path, ...]:
    """The PNG files that suit this kind of target, drawn into the folder.

    Args:
        truth: True answers, shape (rows,).
        outputs: The model's answers to the same rows.
        schema: Kind of the target, its name and its classes.
        metrics: The scorecard's metrics, for the titles; a picture whose metric is not defined is left out.
        folder: Where the files go.
    """
    kinds = {"binary": _binary, "multiclass": _multiclass, "regression": _regression}
    drawings = kinds[schema.target_kind](truth, outputs, schema, metrics)
    return tuple(draw(folder / f"{name}.png", drawing) for name, drawing in drawings.items())


def draw_slices(
    declared: Mapping[str, Values],
    found: Mapping[str, Values],
    intervals: Intervals,
    overall: float,
    metric: str,
    folder: Path,
) -> tuple[Path, ...]:
    """One PNG file of the metric in each slice, the found ones in another colour; none if no slice has the metric.

    Args:
        declared: Slices with their metrics and `rows`.
        found: The same, of the slices that nobody declared.
        intervals: Slice to the interval of its metric.
        overall: The metric on all rows.
        metric: Which metric.
        folder: Where the file goes.
    """
    defined = {name: values for name, values in declared.items() if metric in values}
    worst = {name: values for name, values in found.items() if metric in values}
    largest = sorted(defined, key=lambda name: -defined[name]["rows"])[: MOST_SLICES - len(worst)]
    names = [*reversed(worst), *sorted(largest, key=lambda name: (name.split("=")[0], defined[name][metric]))]
    if not names:
        return ()
    slices = defined | worst
    return (
        draw(folder / "slices.png", lambda figure: _slices(figure, names, slices, worst, intervals, overall, metric)),
    )


def _binary(truth: Array, outputs: Outputs, schema: Schema, metrics: Values) -> dict[str, Drawing]:
    probability = outputs.probability
    if probability is None or "roc_auc" not in metrics:
        return {}
    what = f"{schema.target} = 1"
    names = (f"{schema.target} = 0", f"{schema.target} = 1")
    return {
        "roc_curve": lambda figure: curves.roc_curve(figure, truth, probability, metrics),
        "precision_recall": lambda figure: curves.precision_recall(figure, truth, probability, metrics),
        "calibration": lambda figure: curves.calibration(figure, probability, truth, what, metrics),
        "probabilities": lambda figure: curves.probabilities(figure, truth, probability, schema.target),
        "confusion_matrix": lambda figure: _confusion(figure, truth, outputs.prediction, names, metrics),
    }


def _multiclass(truth: Array, outputs: Outputs, schema: Schema, metrics: Values) -> dict[str, Drawing]:
    if outputs.probability is None or "calibration_error" not in metrics:
        return {}
    sure, right = outputs.probability.max(axis=1), (outputs.probability.argmax(axis=1) == truth).astype(np.float64)
    return {
        "confusion_matrix": lambda figure: _confusion(figure, truth, outputs.prediction, schema.classes, metrics),
        "calibration": lambda figure: curves.calibration(figure, sure, right, "the class predicted", metrics),
    }


def _regression(truth: Array, outputs: Outputs, schema: Schema, metrics: Values) -> dict[str, Drawing]:
    if "rmse" not in metrics:
        return {}
    return {
        "predicted_and_true": lambda figure: _predicted(figure, truth, outputs.prediction, schema.target, metrics),
        "residuals": lambda figure: _residuals(figure, truth, outputs.prediction, schema.target, metrics),
    }


def _slices(
    figure: Figure,
    names: list[str],
    slices: Mapping[str, Values],
    found: Mapping[str, Values],
    intervals: Intervals,
    overall: float,
    metric: str,
) -> None:
    """Dots with intervals, not bars from 0: a ROC AUC of 0.6 is not six tenths as long as one of 1."""
    figure.set_size_inches(SLICES_WIDE, max(2.8, 1.6 + 0.28 * len(names)))
    axes = panel(figure)
    for place, name in enumerate(names):
        value, color = slices[name][metric], ORANGE if name in found else BLUE
        low, high = intervals.get(name, (value, value))
        axes.plot([low, high], [place, place], color=color, linewidth=2.4, alpha=0.45, solid_capstyle="round")
        axes.plot(value, place, "o", color=color, markersize=7)
        axes.text(1.02, place, f"{value:.3f}", transform=axes.get_yaxis_transform(), va="center", color=INK)
    labels = [f"{shortened(name, SLICE_LETTERS)}  ({slices[name]['rows']:,.0f})" for name in names]
    axes.set_yticks(range(len(names)), labels, parse_math=False)
    axes.axvline(overall, color=INK, linewidth=1.2, linestyle="--", label=f"all rows: {overall:.3f}")
    axes.plot([], [], "o", color=BLUE, label="declared")
    if found:
        axes.plot([], [], "o", color=ORANGE, label="found by search")
    figure.legend(loc="outside lower right", ncols=3, frameon=False, fontsize=10, labelcolor=INK)
    axes.grid(axis="y", visible=False)
    axes.set_ylim(-0.7, len(names) - 0.3)
    values = [slices[name][metric] for name in names]
    say(axes, "", f"{metric}, with its interval", "")
    heading(figure, f"{metric} by slice, with its rows: {min(values):.3f} to {max(values):.3f}")


def _predicted(figure: Figure, truth: Array, prediction: Array, target: str, metrics: Values) -> None:
    axes = panel(figure)
    ends = [float(min(truth.min(), prediction.min())), float(max(truth.max(), prediction.max()))]
    cells = axes.hexbin(truth, prediction, gridsize=45, mincnt=1, cmap="Blues", bins="log", linewidths=0.2)
    axes.plot(ends, ends, color=ORANGE, linestyle="--", linewidth=1.4, label="perfect")
    bar = figure.colorbar(cells, ax=axes, pad=0.02, format=StrMethodFormatter("{x:,.0f}"))
    bar.set_label("rows", fontsize=11, color=INK)
    spread = f", R² {metrics['r2']:.3f}" if "r2" in metrics else ""
    say(axes, f"RMSE {metrics['rmse']:.4g}{spread} on {truth.size:,} rows", f"true {target}", f"predicted {target}")
    legend(axes, "upper left")


def _residuals(figure: Figure, truth: Array, prediction: Array, target: str, metrics: Values) -> None:
    """The outermost half per cent on each side is gathered in the last column: one row must not set the scale."""
    axes = panel(figure)
    gaps = prediction - truth
    low, high = np.quantile(gaps, [0.005, 0.995])
    axes.hist(np.clip(gaps, low, high), bins=60, color=BLUE, alpha=0.8)
    axes.axvline(0, color=INK, linewidth=1.2, linestyle=":")
    axes.axvline(gaps.mean(), color=ORANGE, linewidth=1.6, linestyle="--", label=f"mean {gaps.mean():+.3g}")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    say(axes, f"MAE {metrics['mae']:.4g}, bias {gaps.mean():+.3g}", f"predicted minus true {target}", "rows")
    legend(axes)


def _confusion(figure: Figure, truth: Array, prediction: Array, classes: tuple[str, ...], metrics: Values) -> None:
    axes = panel(figure)
    size = len(classes)
    counts = np.bincount(truth * size + prediction, minlength=size * size).reshape(size, size)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.grid(visible=False)
    for row, column in np.ndindex(size, size) if size <= NUMBERED_CLASSES else ():
        color = "white" if shares[row, column] > 0.55 else INK
        text = f"{shares[row, column]:.0%}\n{counts[row, column]:,}"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=10 if size > 3 else 13)
    names = [shortened(name, CLASS_LETTERS) for name in classes]
    axes.set_xticks(range(size), names, rotation=0 if size <= 6 else 45, parse_math=False)
    axes.set_yticks(range(size), names, parse_math=False)
    f1 = f", macro F1 {metrics['macro_f1']:.3f}" if "macro_f1" in metrics else ""
    title = f"Accuracy {metrics['accuracy']:.3f}{f1} on {truth.size:,} rows"
    say(axes, title, "predicted", "true (share of its rows)")

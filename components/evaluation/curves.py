"""Pictures of probabilities: how well they rank the rows, and whether they can be taken at their word."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter

from components.evaluation.canvas import BLUE, INK, ORANGE, SOFT, Values, legend, panel, plain, say
from components.evaluation.metrics import threshold_counts
from components.evaluation.predicting import Array

# A curve of more points than this looks the same and only makes the file larger.
CURVE_POINTS = 800
# Of equal rows each, so that every dot is equally sure: the bins of `calibration_error` are of equal width, and the
# outer ones hold a handful of rows.
CALIBRATION_DOTS = 10
# Columns of the histograms, 0.025 wide.
BINS = 40


def roc_curve(figure: Figure, truth: Array, probability: Array, metrics: Values) -> None:
    """Caught against false alarms at every threshold; the dot is where the model itself says 1, at 0.5."""
    axes = panel(figure)
    caught, alarms = threshold_counts(truth, probability)
    across, up = _thinned(alarms / (truth == 0).sum(), caught / truth.sum())
    axes.plot(across, up, color=BLUE, linewidth=2.2, label="model")
    axes.fill_between(across, up, color=BLUE, alpha=0.08)
    axes.plot([0, 1], [0, 1], color=SOFT, linestyle="--", linewidth=1.2, label="chance")
    told = probability >= 0.5
    here = told[truth == 0].mean(), told[truth == 1].mean()
    label = f"from 0.5 on: {here[1]:.0%} caught, {here[0]:.0%} false alarms"
    axes.plot(*here, "o", color=ORANGE, markersize=8, label=label, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1.01))
    title = f"ROC AUC {metrics['roc_auc']:.3f} on {truth.size:,} rows"
    say(axes, title, "false alarms: share of class 0 called 1", "caught: share of class 1 called 1")
    legend(axes, "lower right")


def precision_recall(figure: Figure, truth: Array, probability: Array, metrics: Values) -> None:
    """How many alarms are right, against how many of class 1 are caught, at every threshold."""
    axes = panel(figure)
    caught, alarms = threshold_counts(truth, probability)
    share = truth.mean()
    across, up = _thinned(caught[1:] / truth.sum(), caught[1:] / (caught[1:] + alarms[1:]))
    axes.plot(across, up, color=BLUE, linewidth=2.2, label="model", drawstyle="steps-pre")
    axes.axhline(share, color=SOFT, linestyle="--", linewidth=1.2, label=f"chance: {share:.1%} are class 1")
    axes.set(xlim=(0, 1), ylim=(0, 1.01))
    title = f"Average precision {metrics['average_precision']:.3f} on {truth.size:,} rows"
    say(axes, title, "recall: share of class 1 called 1", "precision: share of those called 1 that are 1")
    legend(axes, "upper right")


def calibration(figure: Figure, stated: Array, right: Array, what: str, metrics: Values) -> None:
    """What was stated against what happened, in tenths of the rows; below, how many rows stand where.

    Args:
        figure: An empty figure.
        stated: Stated probability of each row, shape (rows,).
        right: Whether it turned out so, shape (rows,), 0 or 1.
        what: What the probability is of.
        metrics: Holds `calibration_error`.
    """
    axes, below = figure.subplots(2, sharex=True, height_ratios=[4, 1])
    plain(axes)
    plain(below)
    edges = np.unique(np.quantile(stated, np.linspace(0, 1, CALIBRATION_DOTS + 1)))
    place = np.clip(np.searchsorted(edges, stated, side="right") - 1, 0, max(edges.size - 2, 0))
    counts = np.bincount(place)
    held = counts > 0
    means = np.bincount(place, stated)[held] / counts[held]
    observed = np.bincount(place, right)[held] / counts[held]
    reach = 1.96 * np.sqrt(observed * (1 - observed) / counts[held])
    label = f"model, {held.sum()} dots of about {int(np.median(counts[held])):,} rows, with 95 % intervals"
    axes.plot([0, 1], [0, 1], color=SOFT, linestyle="--", linewidth=1.2, label="perfect")
    axes.errorbar(means, observed, yerr=reach, color=BLUE, marker="o", linewidth=1.8, capsize=3, label=label)
    below.hist(stated, bins=BINS, range=(0, 1), color=BLUE, alpha=0.55)
    below.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set(xlim=(0, 1), ylim=(0, 1))
    average = f"on average {stated.mean():.1%} stated, {right.mean():.1%} true"
    say(axes, f"Calibration error {metrics['calibration_error']:.3f}; {average}", "", f"share that was {what}")
    say(below, "", f"stated probability of {what}", "rows")
    legend(axes, "upper left")


def probabilities(figure: Figure, truth: Array, probability: Array, target: str) -> None:
    """Where the probabilities of each class lie."""
    axes = panel(figure)
    for value, color in ((0, SOFT), (1, ORANGE)):
        chosen = probability[truth == value]
        label = f"{target} = {value}: {chosen.size:,} rows, mean {chosen.mean():.2f}"
        weights = np.full(chosen.size, 1 / chosen.size)
        axes.hist(chosen, bins=BINS, range=(0, 1), weights=weights, color=color, alpha=0.55, label=label)
    axes.axvline(0.5, color=INK, linestyle=":", linewidth=1.2)
    axes.set_xlim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    title = f"Called 1 from 0.5 on: {(probability >= 0.5).mean():.1%} of {truth.size:,} rows"
    say(axes, title, "probability of class 1", "share of the class's rows")
    legend(axes, "upper right")


def _thinned(across: Array, up: Array) -> tuple[Array, Array]:
    places = np.unique(np.linspace(0, across.size - 1, min(across.size, CURVE_POINTS)).astype(int))
    return across[places], up[places]

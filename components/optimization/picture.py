"""The variants of one model as a picture: loss of quality over rows a second, the file's size as area.

Drawn on a matplotlib figure directly, never through pyplot, so several flows can draw at the same time.
"""

import math
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from components.optimization.pareto import headline, values_of
from components.records.models import RatedVariant
from components.settings.optimization import BudgetSettings, OptimizationSettings

INK, SOFT, GRID = "#1f2933", "#7b8794", "#e4e7eb"
BLUE, ORANGE = "#2563eb", "#ea580c"
INCHES, DPI = (8.6, 5.6), 130
POINTS_AN_INCH = 72
# Area of the largest file's marker in points^2, and the least that is still seen.
LARGEST_AREA, LEAST_AREA = 420.0, 40.0
# A loss further from zero than so many budgets is drawn at this edge: it must not set the scale.
SHOWN_BUDGETS = 3.0
# The scale of the losses where the budget allows none.
NO_BUDGET = 1e-3
# Directions in which a label is tried, right and left first, and distances from the marker's edge in points.
DIRECTIONS = [(1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1), (0, 1), (0, -1)]
DISTANCES = (5, 14, 26, 42, 60)


def draw_variants(
    path: Path,
    rated: Sequence[RatedVariant],
    front: frozenset[str],
    chosen: str | None,
    settings: OptimizationSettings,
    metric: str,
) -> Path:
    """The PNG file; a variant that was not measured or not rated is named below, not drawn."""
    figure = Figure(figsize=INCHES, dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    points = [Point(entry, rated, front, chosen, settings) for entry in rated if values_of(entry)]
    _frame(axes, points, settings, metric)
    _budget(axes, settings.budget)
    for point in sorted(points, key=lambda point: -point.area):
        point.mark(axes)
    _name_absent(axes, [entry.variant.name for entry in rated if not values_of(entry)])
    title = headline(rated, chosen, settings, metric)
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=INK, pad=12)
    _legend(figure)
    figure.draw_without_rendering()  # settles the layout, on which the labels' places depend
    _label(axes, points)
    figure.savefig(path)
    return path


class Point:
    """One variant in the picture."""

    def __init__(
        self,
        entry: RatedVariant,
        rated: Sequence[RatedVariant],
        front: frozenset[str],
        chosen: str | None,
        settings: OptimizationSettings,
    ) -> None:
        assert entry.variant.footprint is not None
        name, largest = entry.variant.name, max(other.variant.megabytes for other in rated)
        edge = SHOWN_BUDGETS * _unit(settings)
        self.across = entry.variant.footprint.rows_per_second
        self.up = max(-edge, min(edge, entry.quality_loss))
        self.area = max(LEAST_AREA, LARGEST_AREA * entry.variant.megabytes / largest)
        self.color = ORANGE if name == chosen else BLUE if name in front else SOFT
        self.is_chosen, self.is_missed = name == chosen, bool(entry.misses)
        beyond = f"\nloss {entry.quality_loss:.3g}" if self.up != entry.quality_loss else ""
        self.text = f"{name}  {entry.variant.megabytes:.2g} MB{beyond}"

    @property
    def radius(self) -> float:
        """Of the marker, in points."""
        return math.sqrt(self.area / math.pi)

    def mark(self, axes: Axes) -> None:
        """Draw the marker: hollow for one that missed the budget."""
        fill = "none" if self.is_missed else self.color
        style: dict[str, Any] = {
            "facecolor": fill,
            "edgecolor": self.color,
            "alpha": 0.9,
            "linewidth": 1.8,
            "zorder": 3,
        }
        axes.scatter(self.across, self.up, s=self.area, **style)

    def box(self, axes: Axes) -> Bbox:
        """The marker's place in pixels."""
        x, y = axes.transData.transform((self.across, self.up))
        radius = self.radius * axes.figure.dpi / POINTS_AN_INCH
        return Bbox([[x - radius, y - radius], [x + radius, y + radius]])

    def places(self) -> Iterator[tuple[float, float]]:
        """Where the label's nearest corner or edge may stand, in points from the marker's centre, best first."""
        for distance in DISTANCES:
            for side, up in DIRECTIONS:
                far = self.radius * (0.75 if side and up else 1) + distance
                yield side * far, up * far


def _unit(settings: OptimizationSettings) -> float:
    return settings.budget.max_quality_loss or NO_BUDGET


def _frame(axes: Axes, points: Sequence[Point], settings: OptimizationSettings, metric: str) -> None:
    unit = _unit(settings)
    low = min([-0.1 * unit, *(point.up for point in points)])
    high = max([1.1 * unit, *(point.up for point in points)])
    margin = 0.15 * (high - low)
    axes.set_ylim(high + margin, low - margin)  # upside down: up and to the right is better
    wanted = settings.budget.rows_per_second
    speeds = [point.across for point in points] + ([wanted] if wanted else [])
    speeds = speeds or [1e4, 1e5]
    axes.set_xscale("log")
    axes.set_xlim(min(speeds) / 1.7, max(speeds) * 2.2)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+.4g}" if abs(value) > 1e-12 else "0"))
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SOFT)
    axes.tick_params(colors=INK, labelsize=10)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("rows a second, 1,024 rows a call, one thread (log)", fontsize=11, color=INK)
    axes.set_ylabel(f"loss of {metric} against fp32 (up is better)", fontsize=11, color=INK)


def _budget(axes: Axes, budget: BudgetSettings) -> None:
    """The limits as lines, and what lies beyond that of quality in a tint."""
    line: dict[str, Any] = {"color": ORANGE, "linestyle": "--", "linewidth": 1.4}
    axes.axhline(budget.max_quality_loss, **line)
    axes.axhspan(budget.max_quality_loss, axes.get_ylim()[0], color=ORANGE, alpha=0.06, linewidth=0)
    says: dict[str, Any] = {"color": ORANGE, "fontsize": 9.5, "textcoords": "offset points"}
    limit: tuple[float, float] = (1, budget.max_quality_loss)
    text = f"max_quality_loss {budget.max_quality_loss:g}"
    axes.annotate(text, limit, (-2, -4), xycoords=axes.get_yaxis_transform(), ha="right", va="top", **says)
    if budget.rows_per_second is not None:
        axes.axvline(budget.rows_per_second, **line)
        limit = (budget.rows_per_second, 1)
        text = f"rows_per_second {budget.rows_per_second:,.0f}"
        axes.annotate(text, limit, (4, -2), xycoords=axes.get_xaxis_transform(), va="top", **says)


def _legend(figure: Figure) -> None:
    style: dict[str, Any] = {"marker": "o", "linestyle": "none", "markersize": 9, "markeredgewidth": 1.8}
    handles = [
        Line2D([], [], color=ORANGE, label="the model", **style),
        Line2D([], [], color=BLUE, label="no other beats it", **style),
        Line2D([], [], color=SOFT, label="another is as good in all", **style),
        Line2D([], [], color=INK, markerfacecolor="none", label="hollow: cannot be chosen", **style),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9.5, labelcolor=INK)


def _name_absent(axes: Axes, names: Sequence[str]) -> None:
    if names:
        text = textwrap.fill(f"not drawn, since not measured or not rated: {', '.join(names)}", 90)
        axes.text(0.01, 0.015, text, transform=axes.transAxes, va="bottom", fontsize=9.5, color=INK)


def _label(axes: Axes, points: Sequence[Point]) -> None:
    """A name beside each marker, the chosen one's first, at the nearest place that nothing else takes."""
    taken = [point.box(axes) for point in points]
    taken += [thing.get_window_extent() for thing in (*axes.texts, *axes.lines)]
    for point in sorted(points, key=lambda point: not point.is_chosen):
        label = None
        for place in point.places():
            if label is not None:
                label.remove()
            label = _annotate(axes, point, place)
            box = _text_box(label).padded(2)
            if axes.bbox.containsx(box.x0) and axes.bbox.contains(box.x1, box.y1) and not box.count_overlaps(taken):
                break
        assert label is not None
        taken.append(_text_box(label))


def _text_box(label: Annotation) -> Bbox:
    """Where the label's text stands, in pixels: its own extent would count the line to the marker too."""
    label.get_window_extent()  # puts the text at its place
    return Text.get_window_extent(label)


def _annotate(axes: Axes, point: Point, place: tuple[float, float]) -> Annotation:
    across = "left" if place[0] > 0 else "right" if place[0] < 0 else "center"
    up = "bottom" if place[1] > 0 else "top" if place[1] < 0 else "center"
    weight = "bold" if point.is_chosen else "normal"
    is_beside = not place[1] and abs(place[0]) <= point.radius + DISTANCES[0]
    corner = ({"left": 0.0, "right": 1.0}.get(across, 0.5), {"bottom": 0.0, "top": 1.0}.get(up, 0.5))
    line = {"arrowstyle": "-", "color": SOFT, "linewidth": 0.8, "relpos": corner, "shrinkA": 0, "shrinkB": 0}
    return axes.annotate(
        point.text,
        (point.across, point.up),
        place,
        textcoords="offset points",
        ha=across,
        va=up,
        fontsize=10,
        fontweight=weight,
        color=INK,
        arrowprops=None if is_beside else line,
    )

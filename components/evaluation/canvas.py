"""How every picture of a scorecard looks: size, colours, words.

Drawn on matplotlib figures directly, never through pyplot, so nothing global is touched and several flows can draw at
the same time in one process.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, SOFT, GRID = "#1f2933", "#7b8794", "#e4e7eb"
# Blue and orange can be told apart by nearly everyone, and in grey too.
BLUE, ORANGE = "#2563eb", "#ea580c"
# Readable beside text in a page, and 50 KB a picture.
INCHES, DPI = (7.2, 5.0), 110

Values = Mapping[str, float]
Drawing = Callable[[Figure], None]


def draw(path: Path, drawing: Drawing) -> Path:
    """The drawing as a PNG file."""
    figure = Figure(figsize=INCHES, dpi=DPI, layout="constrained", facecolor="white")
    drawing(figure)
    figure.savefig(path)
    return path


def panel(figure: Figure) -> Axes:
    """The figure's only axes, in the house style."""
    axes = figure.add_subplot()
    plain(axes)
    return axes


def plain(axes: Axes) -> None:
    """Gives the axes the house style: a light grid and no frame."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SOFT)
    axes.tick_params(colors=INK, labelsize=10)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def say(axes: Axes, title: str, across: str, up: str) -> None:
    """The title, which states what the picture shows, and what stands on the axes; `$` is no formula."""
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", color=INK, pad=12, parse_math=False)
    axes.set_xlabel(across, fontsize=11, color=INK, parse_math=False)
    axes.set_ylabel(up, fontsize=11, color=INK, parse_math=False)


def heading(figure: Figure, title: str) -> None:
    """The title over the whole figure, where long names leave little room over the axes."""
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold", color=INK, parse_math=False)


def legend(axes: Axes, place: Literal["best", "lower right", "upper left", "upper right"] = "best") -> None:
    """What each line is."""
    axes.legend(loc=place, frameon=False, fontsize=10, labelcolor=INK)


def shortened(text: str, most: int) -> str:
    """The text in at most so many letters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"

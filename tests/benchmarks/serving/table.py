"""The tables that are printed and kept."""

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime

from tests.benchmarks.serving.load import Load
from tests.benchmarks.serving.sides import BY_HAND, OURS

WIDTH = 30
GOAL_WIDTH = 60


@dataclass(frozen=True)
class Standing:
    """What is measured of a side besides its turns: seconds from start to ready, MB of its worker."""

    ready_seconds: float
    megabytes: float


@dataclass(frozen=True)
class Goal:
    """One thing that the service is meant to reach.

    Attributes:
        what: What is measured, with its unit or what it is a share of.
        found: What was found.
        wanted: The least, or the most, that it should be.
        at_least: Whether more is better.
    """

    what: str
    found: float
    wanted: float
    at_least: bool = True

    @property
    def is_met(self) -> bool:
        """Whether it was reached."""
        return self.found >= self.wanted if self.at_least else self.found <= self.wanted


def title(command: str) -> str:
    """The first line: what was run, on what, when."""
    return f"$ {command}    # {os.cpu_count()} cores, {platform.machine()}; {datetime.now(UTC):%Y-%m-%d}"


def single_rows(turns: Mapping[str, Sequence[Load]], standing: Mapping[str, Standing]) -> list[str]:
    """One row a request: medians of the turns, and ratios of the rates."""
    found = {
        name: Load(*map(statistics.median, zip(*map(astuple, loads), strict=True))) for name, loads in turns.items()
    }
    heads = ("requests/s", "p50 ms", "p99 ms", "CPU us", "MB", "ready s", f"/ {OURS}", "/ by hand")
    lines = [f"{'one row a request':<{WIDTH}}" + "".join(f"{head:>11}" for head in heads)]
    for name, load in found.items():
        ratios = [load.rate / found[other].rate for other in (OURS, BY_HAND)]
        lines.append(
            f"{name:<{WIDTH}}{load.rate:>11,.0f}{load.p50_ms:>11.2f}{load.p99_ms:>11.2f}{load.cpu_us:>11.0f}"
            f"{standing[name].megabytes:>11.0f}{standing[name].ready_seconds:>11.1f}"
            + "".join(f"{ratio:>11.2f}" for ratio in ratios)
        )
    return lines


def many_rows(head: str, turns: Mapping[str, Sequence[float]]) -> list[str]:
    """Rows a second, medians of the turns; the first line is what the others are shares of."""
    found = {name: statistics.median(rates) for name, rates in turns.items()}
    limit = next(iter(found.values()))
    lines = [f"{head:<{WIDTH}}{'rows/s':>11}{'of limit':>11}"]
    return lines + [f"{name:<{WIDTH}}{rate:>11,.0f}{rate / limit:>11.2f}" for name, rate in found.items()]


def ratio(turns: Mapping[str, Sequence[float]], name: str, other: str) -> float:
    """How many times the other: the median of the turns, in each of which both met the same other work."""
    return statistics.median(one / two for one, two in zip(turns[name], turns[other], strict=False))


def goals(all_goals: Sequence[Goal]) -> list[str]:
    """What was wanted, what was found."""
    lines = [f"{'goal':<{GOAL_WIDTH}}{'wanted':>11}{'found':>11}"]
    for goal in all_goals:
        wanted = f"{'>=' if goal.at_least else '<='} {goal.wanted:g}"
        verdict = "met" if goal.is_met else "not met"
        lines.append(f"{goal.what:<{GOAL_WIDTH}}{wanted:>11}{goal.found:>11.3g}  {verdict}")
    return lines

"""What `everfit backtest` prints: each policy's decisions window by window, and the strategies side by side."""

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from components.monitoring.backtests import Backtest, Tally
from components.monitoring.replaying import Replay, ReplayedWindow

DASH = "-"
OUTCOMES = {"promote": "promoted", "reject": "rejected", "inconclusive": "not clearly better", "failed": "failed"}


def print_backtest(found: Backtest, console: Console) -> None:
    """Print a line for each window of each policy that was given, then the strategies in a table of 80 characters."""
    for name in found.policies:
        console.print(f"{name}, window by window", style="bold", markup=False)
        for line in _decisions(found.replay(name)):
            console.print(line, markup=False, soft_wrap=True)
        console.print()
    console.print(_strategies(found))
    console.print()
    console.print(_about(found), markup=False, soft_wrap=True)


def _decisions(found: Replay) -> Iterator[str]:
    for one in found.windows:
        yield f"{one.window} {_decision(one)}: {one.decision.reason}"


def _decision(one: ReplayedWindow) -> str:
    if one.trial is None:
        return one.decision.verdict
    return f"{one.decision.verdict} ({OUTCOMES[one.trial.outcome]}; in hindsight {one.truth})"


def _strategies(found: Backtest) -> Table:
    table = Table(title=f"Policies for {escape(found.project)}", title_justify="left", box=None, pad_edge=False)
    table.add_column("\n\npolicy", overflow="fold")
    names = (f"\n\n{found.metric}", "gain\nover\nnever", "\nre-\ntrained", "promoted/\nrejected/\nundecided")
    for name in (*names, "true/\nfalse/\nopen", "\n\nmissed", "\n\nlag", "\n\ncost"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found.tallies:
        table.add_row(escape(one.name), *_figures(one), style="bold" if one.name in found.policies else "")
    return table


def _figures(one: Tally) -> list[str]:
    truths = (one.true, one.false, one.open)
    return [
        DASH if one.quality is None else f"{one.quality:.4f}",
        DASH if one.gain is None else f"{one.gain:+.4f}",
        str(one.retrainings),
        f"{one.promotions}/{one.rejections}/{one.inconclusive + one.failed}",
        DASH if None in truths else "/".join(map(str, truths)),
        DASH if one.missed is None else str(one.missed),
        DASH if one.lag is None else f"{one.lag:.1f}",
        DASH if one.cost is None else f"{one.cost:.3g}",
    ]


def _about(found: Backtest) -> str:
    """What the figures rest on, and what the words of the table mean."""
    hours = found.label_delay_hours
    delay = f"{hours / 24:g} days" if hours >= 48 else f"{hours:.3g} h"
    return (
        f"{len(found.windows)} windows of {found.origin} from {found.begin:%Y-%m-%d} to {found.end:%Y-%m-%d}, labels "
        f"{delay} late, replayed in {found.seconds:.0f} s. A trigger is true if its candidate was better beyond doubt "
        "on the rows that followed; missed is a stretch of windows in which one was to be had and nobody asked; lag is "
        "in windows. A candidate answers from the end of its window on. fp32 alone is made of it, and no sandbox or "
        "approval is asked."
    )

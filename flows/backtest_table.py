"""What `everfit backtest` prints: the strategies side by side, and each policy's decisions window by window."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from components.monitoring.backtests import Backtest, Tally
from components.monitoring.replaying import Replay, ReplayedWindow

DASH = "-"
OUTCOMES = {"promote": "promoted", "reject": "rejected", "inconclusive": "not clearly better", "failed": "failed"}


def print_backtest(found: Backtest, console: Console) -> None:
    """Print the table of strategies, then a line for each window of each policy that was given."""
    for name in found.policies:
        console.print(_decisions(found.replay(name)))
    console.print(_strategies(found))
    delay = (
        f"{found.label_delay_hours / 24:g} days" if found.label_delay_hours >= 48 else f"{found.label_delay_hours:g} h"
    )
    console.print(
        f"{len(found.windows)} windows of {found.origin} from {found.begin:%Y-%m-%d} to {found.end:%Y-%m-%d}, labels "
        f"{delay} late; a trigger is true if its candidate was better beyond doubt on the rows that followed, and a "
        f"stretch of windows is missed if such a candidate was to be had and nobody asked. {found.seconds:.0f} s.",
        markup=False,
        soft_wrap=True,
    )


def _strategies(found: Backtest) -> Table:
    table = Table(title=f"Policies for {found.project}, replayed", title_justify="left")
    table.add_column("policy", overflow="fold")
    columns = (found.metric, "gain", "retrained", "promoted", "rejected", "undecided", "true", "false", "open")
    for name in (*columns, "missed", "lag", "cost"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found.tallies:
        table.add_row(escape(one.name), *_figures(one), style="bold" if one.name in found.policies else "")
    return table


def _figures(one: Tally) -> list[str]:
    counts = (one.retrainings, one.promotions, one.rejections, one.inconclusive + one.failed)
    truths = (one.true, one.false, one.open, one.missed)
    return [
        DASH if one.quality is None else f"{one.quality:.4f}",
        DASH if one.gain is None else f"{one.gain:+.4f}",
        *map(str, counts),
        *(DASH if count is None else str(count) for count in truths),
        DASH if one.lag is None else f"{one.lag:.1f}",
        DASH if one.cost is None else f"{one.cost:.3g}",
    ]


def _decisions(found: Replay) -> Table:
    table = Table(title=f"{escape(found.name)}, window by window", title_justify="left")
    table.add_column("window", no_wrap=True)
    table.add_column("decision", no_wrap=True)
    table.add_column("why", overflow="fold")
    for one in found.windows:
        table.add_row(str(one.window), _decision(one), escape(one.decision.reason))
    return table


def _decision(one: ReplayedWindow) -> str:
    if one.trial is None:
        return one.decision.verdict
    truth = f" ({one.truth})" if one.truth else ""
    return f"{one.decision.verdict}, {OUTCOMES[one.trial.outcome]}{truth}"

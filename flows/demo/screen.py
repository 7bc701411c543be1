"""What the demo shows in the terminal: steps, a progress bar, decisions as they fall, the closing tables."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from components.data.decisions import DecisionEntry
from flows.stack.state import Stack

STYLES = {"retrain": "yellow", "keep": "dim", "ask": "red"}


class Screen:
    """The terminal."""

    class Progress:
        """The bar of the replay."""

        def __init__(self, bars: Bars, rows: int) -> None:
            self._bars = bars
            self._task = bars.add_task("replaying May to December", total=rows)

        def sent(self, rows: int) -> None:
            """So many more rows were sent."""
            self._bars.advance(self._task, rows)

        def say(self, text: str) -> None:
            """What is going on now, beside the bar."""
            self._bars.update(self._task, description=text[:70])

        def decided(self, entry: DecisionEntry) -> None:
            """A decision and what came of it, as a line above the bar."""
            decision = entry.decision
            style = STYLES[decision.verdict]
            self._bars.console.print(f"[{style}]{decision.window}  {decision.verdict:<8}[/] {decision.reason}")
            if entry.outcome:
                self._bars.console.print(
                    f"{'':24}[bold]{entry.outcome}[/] version {entry.candidate_version}: {entry.detail}"
                )

    def __init__(self) -> None:
        self._console = Console(highlight=False)

    def say(self, text: str) -> None:
        """A line."""
        self._console.print(text, markup=False)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """A step with a spinner, and its seconds when it is done."""
        begun = time.monotonic()
        with self._console.status(name):
            yield
        self._console.print(f"[green]done[/] {name} [dim]({time.monotonic() - begun:.1f} s)[/]")

    @contextmanager
    def replay(self, rows: int) -> Iterator[Progress]:
        """The bar of the replay, as long as it lasts."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Bars(*columns, console=self._console) as bars:
            yield Screen.Progress(bars, rows)

    def table(self, title: str, heads: list[str], rows: list[list[str]]) -> None:
        """A table; every column but the first is set to the right."""
        table = Table(title=title, title_justify="left")
        for number, head in enumerate(heads):
            table.add_column(head, justify="right" if number else "left")
        for row in rows:
            table.add_row(*row)
        self._console.print(table)

    def addresses(self, stack: Stack | None, home: Path) -> None:
        """Where to look at what is running in that home folder, and how to stop it."""
        for server in stack.servers if stack else ():
            self._console.print(f"{server.name:<10} {server.address}")
        self._console.print(f"stop them with: EVERFIT_HOME={home} everfit down", markup=False, soft_wrap=True)

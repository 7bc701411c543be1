"""The command that replays policies over the past."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.common import ProjectFile, join, utc

DAYS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]


def backtest(
    project: ProjectFile,
    policy: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="YAML with a section monitoring, once or more; without it, the project's own policy."
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS|PATH",
            help="Raw table with timestamps, or 'project' for the project's source; otherwise what the ledger logged.",
        ),
    ] = None,
    begin: Annotated[
        datetime | None,
        typer.Option(help="Where the replay begins (UTC); older rows train the first model.", formats=DAYS),
    ] = None,
    label_delay: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="How late labels come, such as 3d; without it, as late as was logged."),
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="For backtest.json and backtest.html.")] = None,
) -> None:
    """Replay policies over the past: what they would have triggered, missed and cost, and how good that would be."""
    from components.settings.reading import load_policy

    delay = _duration(label_delay)
    for file in policy or []:
        load_policy(file)  # a mistake in it is told before anything starts
    join(project)
    from rich.console import Console

    from flows.backtest import backtest as flow
    from flows.backtest_table import print_backtest

    found = flow(
        project.resolve(),
        policies=[file.resolve() for file in policy or []],
        source=source,
        begin=utc(begin),
        label_delay=delay,
        output=output.resolve() if output else None,
    )
    print_backtest(found, Console(highlight=False))
    if output:
        typer.echo(output / "backtest.html")


def _duration(text: str | None) -> timedelta | None:
    """A duration that a person typed.

    Raises:
        DataError: If it is none.
    """
    from components.errors import DataError
    from components.settings.durations import parse_duration

    if text is None or text.strip() in {"0", "0d"}:
        return timedelta(0) if text else None
    try:
        found: timedelta = parse_duration(text)
    except ValueError as err:
        raise DataError(f"--label-delay: {err}; write 0 if labels are there at once") from err
    return found

"""What commands share: their common arguments, and how they find the servers."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

ProjectFile = Annotated[Path, typer.Argument(metavar="PROJECT", help="The project file (YAML).")]
Until = Annotated[
    datetime | None,
    typer.Option(help="Event time (UTC) up to which rows are used.", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="NAME/3, NAME@champion, or NAME for its champion.")]


def connect() -> None:
    """Use the registry of the running stack, or the one in the home folder."""
    from components.registry import tracking
    from components.settings.environment import Environment
    from flows.stack.state import join_running

    tracking.connect(join_running(Environment()))


def join(project: Path) -> str:
    """Use the servers of the running stack, if there is one; without Prefect, flows run in this process.

    The project file is read first: a mistake in it is a sentence, not the traceback of a flow that failed.

    Returns:
        Address of the Prefect server if it should be there and does not answer; else nothing.
    """
    from components.settings.environment import Environment
    from components.settings.reading import load_project
    from flows.sentences import instead_of_tracebacks
    from flows.stack.servers import QUIET
    from flows.stack.state import embed_prefect, join_running

    load_project(project)
    instead_of_tracebacks()
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    # The temporary server of a flow without one shares this terminal: what goes wrong in it is not for its user.
    os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "CRITICAL")
    join_running(Environment())
    if absent := embed_prefect():
        typer.echo(f"everfit: Prefect does not answer at {absent}; the flow runs in this process", err=True)
    return absent


def utc(moment: datetime | None) -> datetime | None:
    """A moment that a person typed: in UTC, as all times here are."""
    return moment.replace(tzinfo=UTC) if moment else None

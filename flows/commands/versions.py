"""Commands about versions: what was decided of them, which was live, and what a person does with one."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.common import ProjectFile, Version, connect, join, utc

if TYPE_CHECKING:
    from components.settings.project import Project


def decisions(project: ProjectFile) -> None:
    """List what was decided for each window, and why."""
    from flows.status import decision_table

    join(project)
    decision_table(project)


def verdict(
    version: Version,
) -> None:
    """Show whether a version may go live, and every rule with its numbers."""
    from rich.console import Console

    from flows.verdicts import print_verdict

    connect()
    print_verdict(version, Console(highlight=False))


def approve(
    project: ProjectFile,
    refuse: Annotated[bool, typer.Option("--refuse", help="The champion stays.")] = False,
    reason: Annotated[str, typer.Option(help="Who says so, or why; kept with the verdict.")] = "",
) -> None:
    """Answer the run that waits for a person before it promotes a version."""
    join(project)
    from components.settings.reading import load_project
    from flows.approvals import answer

    run = answer(load_project(project), approve=not refuse, reason=reason)
    typer.echo(f"run {run.name} goes on: {'refused' if refuse else 'approved'}")


def rollout(
    project: ProjectFile,
    abort: Annotated[str, typer.Option(metavar="REASON", help="End it: the champion stays.")] = "",
    promote: Annotated[bool, typer.Option("--promote", help="Make it champion at once.")] = False,
) -> None:
    """Show how far the challenger is, and what is missing for its next step."""
    from components.settings.reading import load_project

    found = load_project(project)
    connect()
    from flows.rollout_table import carry_out

    carry_out(found, abort=abort, promote=promote)
    _send(found)


def rollback(
    project: ProjectFile,
    to: Annotated[int | None, typer.Option(help="Version number; without it, the champion before this one.")] = None,
    reason: Annotated[str, typer.Option(help="Why; kept with both versions and in the history.")] = "",
) -> None:
    """Go back to an earlier version: alias, endpoint, drift reference and yardstick move together."""
    from components.settings.reading import load_project

    found = load_project(project)
    connect()
    from flows.rollback import roll_back, sentences

    done = roll_back(found, to=to, reason=reason)
    typer.echo("\n".join(sentences(done)))
    if done.move is not None:
        from flows import notices

        # Written down before Prefect, which may be away, is asked to send it: reconcile sends what it could not.
        notices.note(found, notices.of_rollback(found, done.version, done.move))
        _send(found)


def history(
    name: Annotated[str, typer.Argument(metavar="NAME_OR_PROJECT", help="A model's name, or its project file.")],
    at: Annotated[
        datetime | None,
        typer.Option(help="Say what was live at this moment (UTC).", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    ] = None,
) -> None:
    """Show which version was live when, and why."""
    from flows.history_table import model_name, tell

    model = model_name(name)
    connect()
    tell(model, utc(at))


def export(
    version: Version,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; a new or empty folder.")],
    target: Annotated[str, typer.Option(help="What kind of machine it is for.")] = "edge",
) -> None:
    """Write a version as a folder that answers rows without Everfit."""
    connect()
    from components.registry import edge, fetching, versions
    from components.settings.environment import Environment

    files = fetching.fetch(versions.named(version), Environment().cache())
    for file in edge.export(files, folder, target=target):
        typer.echo(file)


def bento(
    project: ProjectFile,
    version: Annotated[int | None, typer.Option(help="A version by its number; otherwise the champion.")] = None,
) -> None:
    """Make a bento of the service and a version: bentoml serve TAG needs nothing else."""
    join(project)
    from flows.bento import make

    typer.echo(make(project.resolve(), version))


def _send(project: "Project") -> None:
    """What was just written down for people is sent, if Prefect answers."""
    if project.monitoring.notices.blocks:
        from flows.sending import send_due

        send_due(project)

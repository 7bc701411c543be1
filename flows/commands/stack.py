"""Commands for the local servers, and for what needs none."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.common import ProjectFile

if TYPE_CHECKING:
    from components.settings.project import Project


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the servers up at the end.")] = False,
    output: Annotated[Path, typer.Option(help="Folder for the summary, the page and all data.")] = Path("demo-output"),
) -> None:
    """Run the whole loop on a year of real flights (about 8 minutes on 2 cores)."""
    from flows.demo.run import run_demo

    run_demo(output, keep=keep)


def up(project: ProjectFile) -> None:
    """Start the local servers and keep them running until Ctrl-C or `everfit down`."""
    from components.settings.environment import Environment
    from components.settings.reading import load_project
    from flows.stack.supervisor import Supervisor

    load_project(project)
    environment = Environment()
    Supervisor(environment, project, say=typer.echo).run()
    typer.echo("all servers stopped")


def down() -> None:
    """Stop the local servers of this home folder."""
    from components.settings.environment import Environment
    from flows.stack import state

    stopped = state.stop(Environment())
    typer.echo("all servers stopped" if stopped else f"no servers are running in {Environment().folder}")


def status() -> None:
    """Say which servers run and where, and which version is live."""
    from components.settings.environment import Environment
    from flows.stack import state
    from flows.status import status_lines

    environment = Environment()
    for line in status_lines(state.read(environment), environment):
        typer.echo(line)


def check(project: ProjectFile) -> None:
    """Read the project file and say what is wrong with it, all at once."""
    from components.settings.environment import Environment
    from components.settings.reading import load_project
    from components.settings.secrets import hash_key

    found = load_project(project)
    hash_key(found, Environment())
    if found.monitoring.notices.blocks:
        _check_receivers(found)
    typer.echo(f"{project}: project {found.name}, sha256 {found.sha256[:12]}, no mistakes found")


def _check_receivers(project: "Project") -> None:
    """Everyone who is to be told is known to the Prefect server; without one, `everfit notices` looks."""
    from components.errors import ProjectFileError
    from flows.commands.common import join

    join(project.file)
    if os.environ.get("PREFECT_API_URL"):
        from flows.sending import unknown

        if sentences := unknown(project):
            raise ProjectFileError("\n".join(sentences))


def runner(project: ProjectFile) -> None:
    """Serve the project's deployments (started by `everfit up`)."""
    from flows.runner import run

    run(project.resolve())

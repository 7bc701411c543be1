"""Commands about what people are told: the page about the loop, and notices."""

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.common import ProjectFile, connect, join


def report(
    project: ProjectFile,
    output: Annotated[
        Path | None, typer.Option(help="The HTML file; without it, report.html beside the windows' reports.")
    ] = None,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open it, where there is a browser.")] = True,
    windows: Annotated[int, typer.Option(min=1, help="The newest so many windows are shown.")] = 52,
) -> None:
    """Write one page about the loop: windows, drift, quality, decisions, versions, latency and cost."""
    from components.settings.environment import Environment
    from components.settings.reading import load_project
    from flows.browser import default_page, opened

    found = load_project(project)
    connect()
    from flows.report import write_report

    environment = Environment()
    page = write_report(found, environment, (output or default_page(found, environment)).resolve(), windows=windows)
    typer.echo(page)
    if show and not opened(page):
        typer.echo("no browser was found on this machine; open the file where there is one", err=True)


def notices(
    project: ProjectFile,
    test: Annotated[bool, typer.Option("--test", help="Send a test notice to each receiver now.")] = False,
) -> None:
    """Show who is told of what happens, and what became of the newest notices."""
    join(project)
    from components.settings.reading import load_project
    from flows.notice_table import listing, try_out

    found = load_project(project)
    if not test:
        listing(found)
    elif not try_out(found):
        raise typer.Exit(1)

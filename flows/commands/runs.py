"""Commands that run a flow once, with the servers where they are there and in this process where not."""

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.common import ProjectFile, Until, join, utc


def train(project: ProjectFile, until: Until = None) -> None:
    """Train a model on the project's source; it becomes the champion if it is better."""
    join(project)
    from flows.train import train as flow

    version = flow(project.resolve(), until=utc(until))
    typer.echo(f"{version.name} version {version.version} is registered")


def release(project: ProjectFile) -> None:
    """Wait until the endpoint answers with the champion, and record since when."""
    join(project)
    from flows.release import release as flow

    version = flow(project.resolve())
    typer.echo(f"{version.name} version {version.version} is live")


def monitor(project: ProjectFile, until: Until = None) -> None:
    """Measure the newest window of live traffic, decide what follows, and do it if there is no server that would."""
    away = join(project)
    from components.settings.reading import load_project
    from flows.acting import follow
    from flows.monitor import monitor as flow

    decision = flow(project.resolve(), until=utc(until))
    typer.echo(f"{decision.window}: {decision.verdict}, {decision.reason}")
    follow(load_project(project.resolve()), away=away, say=typer.echo)


def retrain(project: ProjectFile, until: Until = None) -> None:
    """Train a challenger on the rows so far, the labelled live ones among them, if no retraining goes on."""
    join(project)
    from flows.retrain import retrain as flow

    version = flow(project.resolve(), until=utc(until))
    typer.echo(f"{version.name} version {version.version} is registered; everfit verdict says what became of it")


def predict(
    project: ProjectFile,
    source: Annotated[str, typer.Option("--input", help="Raw rows: Parquet, CSV, Delta table, or a database's URL.")],
    output: Annotated[Path, typer.Option(help="Parquet file, CSV file or Delta table for the predictions.")],
    query: Annotated[str | None, typer.Option(help="What to ask the database: a SELECT, or a table.")] = None,
    record: Annotated[bool, typer.Option(help="Keep the predictions in the ledger, for monitoring.")] = True,
) -> None:
    """Answer every row with the champion; a run that was stopped goes on where it was."""
    join(project)
    from components.data.streams import sheltered
    from flows.predict import predict as flow

    done = flow(project.resolve(), sheltered(source), output.resolve(), record=record, query=query)
    rate = (done.rows - done.resumed_rows) / max(done.seconds, 1e-3)
    typer.echo(f"{done.rows:,} rows answered by version {done.version.version}, {rate:,.0f} a second: {done.output}")


def advance(project: ProjectFile) -> None:
    """Let the challenger take its next step, become champion or be sent away, if that is due."""
    join(project)
    from flows.advance import advance as flow

    step = flow(project.resolve())
    typer.echo(f"{step.outcome}: {step.reason}" if hasattr(step, "outcome") else "there is no challenger")


def reconcile(project: ProjectFile) -> None:
    """Carry out what was decided while something was down."""
    join(project)
    from flows.reconcile import reconcile as flow

    done = flow(project.resolve())
    typer.echo("\n".join(done) or "every decision is carried out or under way")

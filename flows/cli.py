"""The `everfit` command.

Prefect, MLflow, torch and the rest are imported inside the commands that need them: `everfit --help` must answer at
once, and importing them takes ten seconds.
"""

import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from components.errors import EverfitError

app = typer.Typer(
    name="everfit",
    help="Everfit keeps models fit: from training to inference and back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ProjectFile = Annotated[Path, typer.Argument(metavar="PROJECT", help="The project file (YAML).")]
Until = Annotated[
    datetime | None,
    typer.Option(help="Event time (UTC) up to which rows are used.", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
]

KeysFile = Annotated[
    Path | None, typer.Option(envvar="EVERFIT_API_KEYS_FILE", help="File of keys that the service reads.")
]


def main() -> None:
    """Run the command; an error that we raise on purpose is a sentence, not a traceback."""
    # Read when onnxruntime is imported, by whichever room: its wheels report to their maker unless told otherwise.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        app()
    except EverfitError as err:
        print(f"everfit: {err}", file=sys.stderr)
        raise SystemExit(1) from None


@app.callback()
def _configure(verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more in the log.")] = False) -> None:
    # No handler of our own: where flows run, Prefect sets the log up, and a second handler would say everything twice.
    for room in ("components", "flows"):
        logging.getLogger(room).setLevel(logging.DEBUG if verbose else logging.INFO)


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the servers up at the end.")] = False,
    output: Annotated[Path, typer.Option(help="Folder for the summary, the page and all data.")] = Path("demo-output"),
) -> None:
    """Run the whole loop on a year of real flights (about 8 minutes on 2 cores)."""
    from flows.demo.run import run_demo

    run_demo(output, keep=keep)


@app.command()
def up(project: ProjectFile) -> None:
    """Start the local servers and keep them running until Ctrl-C or `everfit down`."""
    from components.settings.environment import Environment
    from components.settings.reading import load_project
    from flows.stack.supervisor import Supervisor

    load_project(project)
    environment = Environment()
    Supervisor(environment, project, say=typer.echo).run()
    typer.echo("all servers stopped")


@app.command()
def down() -> None:
    """Stop the local servers of this home folder."""
    from components.settings.environment import Environment
    from flows.stack import state

    stopped = state.stop(Environment())
    typer.echo("all servers stopped" if stopped else f"no servers are running in {Environment().folder}")


@app.command()
def status() -> None:
    """Say which servers run and where, and which version is live."""
    from components.settings.environment import Environment
    from flows.stack import state
    from flows.status import status_lines

    environment = Environment()
    for line in status_lines(state.read(environment), environment):
        typer.echo(line)


@app.command()
def check(project: ProjectFile) -> None:
    """Read the project file and say what is wrong with it, all at once."""
    from components.settings.environment import Environment
    from components.settings.reading import load_project
    from components.settings.secrets import hash_key

    found = load_project(project)
    hash_key(found, Environment())
    typer.echo(f"{project}: project {found.name}, sha256 {found.sha256[:12]}, no mistakes found")


@app.command()
def train(project: ProjectFile, until: Until = None) -> None:
    """Train a model on the project's source; it becomes the champion if it is better."""
    _join(project)
    from flows.train import train as flow

    version = flow(project.resolve(), until=_utc(until))
    typer.echo(f"{version.name} version {version.version} is registered")


@app.command()
def release(project: ProjectFile) -> None:
    """Wait until the endpoint answers with the champion, and record since when."""
    _join(project)
    from flows.release import release as flow

    version = flow(project.resolve())
    typer.echo(f"{version.name} version {version.version} is live")


@app.command()
def monitor(project: ProjectFile, until: Until = None) -> None:
    """Measure the newest window of live traffic and decide what follows."""
    _join(project)
    from flows.monitor import monitor as flow

    decision = flow(project.resolve(), until=_utc(until))
    typer.echo(f"{decision.window}: {decision.verdict}, {decision.reason}")


@app.command()
def retrain(project: ProjectFile, until: Until = None) -> None:
    """Train a challenger on all rows so far, the labelled live ones among them."""
    _join(project)
    from flows.retrain import retrain as flow

    flow(project.resolve(), until=_utc(until))


@app.command()
def predict(
    project: ProjectFile,
    source: Annotated[str, typer.Option("--input", help="Raw rows: Parquet, CSV, Delta table, or a database's URL.")],
    output: Annotated[Path, typer.Option(help="Parquet file, CSV file or Delta table for the predictions.")],
    query: Annotated[str | None, typer.Option(help="What to ask the database: a SELECT, or a table.")] = None,
    record: Annotated[bool, typer.Option(help="Keep the predictions in the ledger, for monitoring.")] = True,
) -> None:
    """Answer every row with the champion; a run that was stopped goes on where it was."""
    _join(project)
    from components.data.streams import sheltered
    from flows.predict import predict as flow

    done = flow(project.resolve(), sheltered(source), output.resolve(), record=record, query=query)
    rate = (done.rows - done.resumed_rows) / max(done.seconds, 1e-3)
    typer.echo(f"{done.rows:,} rows answered by version {done.version.version}, {rate:,.0f} a second: {done.output}")


@app.command()
def bento(
    project: ProjectFile,
    version: Annotated[int | None, typer.Option(help="A version by its number; otherwise the champion.")] = None,
) -> None:
    """Make a bento of the service and a version: bentoml serve TAG needs nothing else."""
    _join(project)
    from flows.bento import make

    typer.echo(make(project.resolve(), version))


@app.command()
def reconcile(project: ProjectFile) -> None:
    """Carry out what was decided while something was down."""
    _join(project)
    from flows.reconcile import reconcile as flow

    done = flow(project.resolve())
    typer.echo("\n".join(done) or "every decision is carried out or under way")


@app.command()
def decisions(project: ProjectFile) -> None:
    """List what was decided for each window, and why."""
    from flows.status import decision_table

    _join(project)
    decision_table(project)


@app.command()
def verdict(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="NAME/3, NAME@champion, or NAME for its champion.")],
) -> None:
    """Show whether a version may go live, and every rule with its numbers."""
    from rich.console import Console

    from flows.verdicts import print_verdict

    _connect()
    print_verdict(version, Console(highlight=False))


@app.command()
def rollback(
    project: ProjectFile,
    to: Annotated[int | None, typer.Option(help="Version number; without it, the champion before this one.")] = None,
    reason: Annotated[str, typer.Option(help="Why; kept with both versions and in the history.")] = "",
) -> None:
    """Go back to an earlier version: alias, endpoint, drift reference and yardstick move together."""
    from components.settings.reading import load_project

    found = load_project(project)
    _connect()
    from flows.rollback import roll_back, sentences

    typer.echo("\n".join(sentences(roll_back(found, to=to, reason=reason))))


@app.command()
def rollout(
    project: ProjectFile,
    abort: Annotated[str, typer.Option(metavar="REASON", help="End it: the champion stays.")] = "",
    promote: Annotated[bool, typer.Option("--promote", help="Make it champion at once.")] = False,
) -> None:
    """Show how far the challenger is, and what is missing for its next step."""
    from components.settings.reading import load_project

    found = load_project(project)
    _connect()
    from flows.rollout_table import carry_out

    carry_out(found, abort=abort, promote=promote)


@app.command()
def advance(project: ProjectFile) -> None:
    """Let the challenger take its next step, become champion or be sent away, if that is due."""
    _join(project)
    from flows.advance import advance as flow

    step = flow(project.resolve())
    typer.echo(f"{step.outcome}: {step.reason}" if hasattr(step, "outcome") else "there is no challenger")


@app.command()
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
    _connect()
    tell(model, _utc(at))


@app.command()
def export(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="NAME/3, NAME@champion, or NAME for its champion.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; a new or empty folder.")],
    target: Annotated[str, typer.Option(help="What kind of machine it is for.")] = "edge",
) -> None:
    """Write a version as a folder that answers rows without Everfit."""
    _connect()
    from components.registry import edge, fetching, versions
    from components.settings.environment import Environment

    files = fetching.fetch(versions.named(version), Environment().cache())
    for file in edge.export(files, folder, target=target):
        typer.echo(file)


@app.command()
def approve(
    project: ProjectFile,
    refuse: Annotated[bool, typer.Option("--refuse", help="The champion stays.")] = False,
    reason: Annotated[str, typer.Option(help="Who says so, or why; kept with the verdict.")] = "",
) -> None:
    """Answer the run that waits for a person before it promotes a version."""
    _join(project)
    from components.settings.reading import load_project
    from flows.approvals import answer

    run = answer(load_project(project), approve=not refuse, reason=reason)
    typer.echo(f"run {run.name} goes on: {'refused' if refuse else 'approved'}")


@app.command()
def key(
    name: Annotated[str, typer.Argument(help="Whose key it is, such as shop-2026-11; a rotated key has a new name.")],
    scope: Annotated[str, typer.Option(help="What it opens: some of predict, label, admin.")] = "predict",
    file: KeysFile = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the key of this name out of the file.")] = False,
) -> None:
    """Make a new API key of the endpoint and show it this once."""
    from flows.keys import make, take_away

    if remove:
        typer.echo(take_away(name, file))
        return
    made, sentences = make(name, scope, file)
    typer.echo(made)  # alone on the standard output, so that a script can take it
    typer.echo("\n".join(sentences), err=True)


@app.command()
def keys(file: KeysFile = None) -> None:
    """List the API keys of the endpoint by name."""
    from flows.keys import listing

    typer.echo("\n".join(listing(file)))


@app.command(hidden=True)
def runner(project: ProjectFile) -> None:
    """Serve the project's deployments (started by `everfit up`)."""
    from flows.runner import run

    run(project.resolve())


def _connect() -> None:
    """Use the registry of the running stack, or the one in the home folder."""
    from components.registry import tracking
    from components.settings.environment import Environment
    from flows.stack.state import join_running

    tracking.connect(join_running(Environment()))


def _join(project: Path) -> None:
    """Use the servers of the running stack, if there is one; without Prefect, flows run in this process.

    The project file is read first: a mistake in it is a sentence, not the traceback of a flow that failed.
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


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None

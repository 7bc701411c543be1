"""The `everfit` command.

What each command does stands in `flows.commands`. Prefect, MLflow, torch and the rest are imported inside of those
that need them: `everfit --help` must answer at once, and importing them takes ten seconds.
"""

import logging
import os
import sys
from typing import Annotated

import typer

from components.errors import EverfitError
from flows.commands import backtests, keys, reports, runs, stack, versions

app = typer.Typer(
    name="everfit",
    help="Everfit keeps models fit: from training to inference and back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


# In the order in which they are listed.
for command in (
    *(stack.demo, stack.up, stack.down, stack.status, stack.check),
    *(runs.train, runs.release, runs.monitor, runs.retrain, runs.predict, runs.reconcile, runs.advance),
    backtests.backtest,
    *(versions.decisions, versions.verdict, versions.approve, versions.rollout, versions.rollback, versions.history),
    *(reports.report, reports.notices, versions.export, versions.bento, keys.key, keys.keys),
):
    app.command()(command)
app.command(hidden=True)(stack.runner)


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

"""The `backtest` flow: what policies would have done with the past, beside never and every window."""

import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from prefect import flow

from components.monitoring.backtests import Backtest
from components.settings.reading import load_project
from flows.tasks import backtesting


@flow(name="backtest")
def backtest(
    project_file: Path,
    policies: list[Path] | None = None,
    source: str | None = None,
    begin: datetime | None = None,
    label_delay: timedelta | None = None,
    output: Path | None = None,
) -> Backtest:
    """Read the past, make the models that retrainings would have made, and replay each policy over both.

    Args:
        project_file: The project.
        policies: YAML files with a section `monitoring`; the project's own policy if none is given.
        source: A raw table to replay over: a class, a path, or `project` for the project's own source; without one,
            what the ledger logged.
        begin: Event time (UTC) at which the replay begins; a raw table's rows before it train the first model.
        label_delay: How long after a row its label counts as known; for logged history the median of what was logged,
            for a raw table 0.
        output: Folder for `backtest.json` and `backtest.html`; none if not given.

    Raises:
        DataError: If there is no history to replay over, or `begin` does not lie in it.
        SchemaMismatch: If the table is not what the project file says.
        ProjectFileError: If a policy cannot be meant.
    """
    begun = time.monotonic()
    project = load_project(project_file)
    contenders = backtesting.read_policies(project, policies or [])
    past = backtesting.read_past(project, source, begin, label_delay)
    made = backtesting.make_models(past, contenders)
    found = replace(backtesting.replay_policies(past, contenders, made), seconds=time.monotonic() - begun)
    if output is not None:
        backtesting.write_backtest(found, output)
    return found

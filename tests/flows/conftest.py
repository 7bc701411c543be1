"""One stack of real servers a session, with one small trained model that is live on it."""

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from components.data.sources import read_source
from components.registry import tracking
from components.settings.environment import Environment
from components.settings.reading import load_project
from flows.demo.application import Batch, hourly_batches
from flows.folders import outbox
from flows.stack import state
from flows.stack.background import start_stack
from tests.flows.harness import Harness, eventually, free_environment
from tests.flows.small import BEGIN, NAME, write_project


@pytest.fixture(scope="session")
def project_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small project."""
    return write_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A home folder of the session's own, and free ports."""
    return free_environment(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def stack(environment: Environment, project_file: Path) -> Iterator[Harness]:
    """The running servers; stopped at the end, whatever happened."""
    before = dict(os.environ)
    try:
        joined = start_stack(environment, project_file, print)
        tracking.connect(joined)
        yield Harness(joined, load_project(project_file))
    finally:
        state.stop(environment)
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session")
def live(stack: Harness) -> Harness:
    """The stack with a first model trained and released by its deployments."""
    stack.run("train", until=BEGIN, reason="first")
    stack.run("release")
    return stack


@pytest.fixture(scope="module", autouse=True)
def settled(request: pytest.FixtureRequest) -> Iterator[None]:
    """The next module begins when no retraining of this one is under way: it could promote a version meanwhile."""
    yield
    of_module = [
        item for item in request.session.items if item.path == request.path and isinstance(item, pytest.Function)
    ]
    if any("stack" in item.fixturenames for item in of_module):
        box = outbox(NAME)
        eventually(
            lambda: not [*box.pending(NAME), *box.running(NAME)], 240, what="the module's decisions to be settled"
        )


@pytest.fixture(scope="session")
def batches(live: Harness) -> list[Batch]:
    """Flights after the training table, an hour a batch, oldest first."""
    data = live.project.data
    source = data.source.model_copy(update={"init_args": {"first": "2013-01-19", "last": "2013-02-02"}})
    frame = read_source(data.model_copy(update={"source": source}), live.project.file.parent)
    columns = [*live.columns(), data.timestamp, str(data.id)]
    return hourly_batches(frame.filter(pl.col(data.timestamp) >= BEGIN), columns, data.timestamp, data.target.column)


def due(batches: list[Batch], start: datetime, length: timedelta) -> list[Batch]:
    """The batches of a stretch of event time."""
    return [batch for batch in batches if start <= batch.last < start + length]

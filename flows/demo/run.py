"""The demo from start to end: servers up, first model, eight months of traffic, the figures.

The demo plays three parts that are not Everfit: the application that sends rows and labels, the clock, and the
scheduler that asks for the monitor at the end of each window. What follows from a monitor run follows by itself.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from prefect.client.schemas.objects import FlowRun

from components.data.decisions import DecisionEntry
from components.data.sources import read_source
from components.errors import ServerError
from components.records.watching import Window
from components.serving.rollout import live_columns
from components.settings.environment import Environment
from components.settings.project import Project
from components.settings.reading import load_project
from flows.demo import calls
from flows.demo.application import Application, Batch, hourly_batches
from flows.demo.figures import figures, made_versions, write_summary
from flows.demo.page import show, write_page
from flows.demo.screen import Screen
from flows.stack import state
from flows.stack.background import start_stack

PROJECT_FILE = Path(__file__).parents[2] / "deploy" / "projects" / "flight-delays.yaml"
BEGIN = datetime(2013, 5, 1, tzinfo=UTC)
# The project's own table ends in April: what comes after is known to the application alone, which sends it row by row.
FIRST_DAY, LAST_DAY = "2013-04-30", "2013-12-31"
LABEL_DELAY = timedelta(days=3)
# While a flow runs, the application sends an hour's batch now and then, so that a swap happens under traffic; at this
# pace the simulated clock moves by less than two days while a challenger is trained.
TRICKLE_SECONDS = 1.0
PATIENCE_SECONDS = 600
POLL_SECONDS = 0.25


def run_demo(output: Path, *, keep: bool) -> Path:
    """Run the loop on a year of flights; the path of `summary.json`.

    Args:
        output: Folder for the summary, the page and, under `home`, everything the servers keep. An earlier demo there
            is replaced.
        keep: Leave the servers up at the end.

    Raises:
        ServerError: If the demo does not run from a checkout, or a server cannot be started.
    """
    if not PROJECT_FILE.exists():
        raise ServerError(
            f"wanted {PROJECT_FILE}, found nothing there; the demo runs from a checkout of the repository"
        )
    begun = time.time()
    screen = Screen()
    project = load_project(PROJECT_FILE)
    environment = _fresh_home(output)
    with _stack(environment, screen, keep=keep) as joined:
        return _Demo(project, joined, screen, output, begun).run()


class _Demo:
    def __init__(self, project: Project, environment: Environment, screen: Screen, output: Path, begun: float) -> None:
        self._project = project
        self._environment = environment
        self._screen = screen
        self._output = output
        self._begun = begun
        self._windows: list[Window] = []
        self._entries: list[DecisionEntry] = []
        self._window_ended: dict[str, float] = {}
        self._application = Application(environment.service, LABEL_DELAY)

    def run(self) -> Path:
        with self._screen.step("training the first model on January to April"):
            self._wait(calls.ask("train", self._project.name, until=BEGIN, reason="first"))
        with self._screen.step("releasing it"):
            self._wait(calls.ask("release", self._project.name))
        with self._screen.step("reading the flights of May to December"):
            pending = self._batches()
        self._replay(pending)
        with self._screen.step("counting"):
            found = figures(
                self._project,
                self._environment,
                windows=self._windows,
                entries=self._entries,
                traffic=self._application.traffic,
                window_ended=self._window_ended,
                begun=self._begun,
            )
            made = made_versions(self._project, self._environment)
            page = write_page(found, made, self._project, self._environment, self._output)
            summary = write_summary(found, self._output)
        show(found, self._screen, summary, page)
        return summary

    def _batches(self) -> list[Batch]:
        data = self._project.data
        source = data.source.model_copy(update={"init_args": {"first": FIRST_DAY, "last": LAST_DAY}})
        frame = read_source(data.model_copy(update={"source": source}), self._project.file.parent)
        frame = frame.filter(pl.col(data.timestamp) >= BEGIN)
        columns = [*live_columns(self._environment.service), data.timestamp, *([data.id] if data.id else [])]
        return hourly_batches(frame, columns, data.timestamp, data.target.column)

    def _replay(self, pending: list[Batch]) -> None:
        rows = sum(len(batch.rows) for batch in pending)
        with self._screen.replay(rows) as progress:
            for window in windows(BEGIN, pending[-1].last, self._project.monitoring.window):
                due = [batch for batch in pending if batch.last < window.end]
                pending = pending[len(due) :]
                for sent in self._application.send_all(due):
                    progress.sent(sent)
                self._application.send_labels(window.end)
                pending = self._close(window, pending, progress)
        self._application.send_labels(datetime.max.replace(tzinfo=UTC) - LABEL_DELAY * 2)

    def _close(self, window: Window, pending: list[Batch], progress: Screen.Progress) -> list[Batch]:
        """Ask for the monitor, and let traffic trickle until nothing more follows; what is still to be sent."""
        self._windows.append(window)
        self._window_ended[str(window)] = time.time()
        trickle = _Trickle(self._application, pending, progress)

        progress.say(f"{window}: measuring")
        run = calls.ask("monitor", self._project.name, until=window.end)
        trickle.until(lambda: calls.is_over(run))
        entry = calls.entry_of_window(self._project.name, window.end)
        if not calls.is_settled(entry):
            progress.say(f"{window}: the loop is retraining")
            trickle.until(lambda: self._has_settled(window))
        entry = calls.entry_of_window(self._project.name, window.end)
        self._entries.append(entry)
        progress.decided(entry)
        return trickle.pending

    def _has_settled(self, window: Window) -> bool:
        entry = calls.entry_of_window(self._project.name, window.end)
        if not calls.is_settled(entry) or calls.retrainings_under_way(self._project.name):
            return False
        promoted = entry.outcome == "promote" and entry.candidate_version is not None
        return not promoted or entry.candidate_version in self._application.traffic.first_answers

    def _wait(self, run: FlowRun) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not calls.is_over(run):
            if time.monotonic() > end:
                raise ServerError(f"wanted a flow run to end within {PATIENCE_SECONDS} s; see logs/runner.log")
            time.sleep(POLL_SECONDS)


class _Trickle:
    """Slow traffic from the next window, while a flow is under way."""

    def __init__(self, application: Application, pending: list[Batch], progress: Screen.Progress) -> None:
        self._application = application
        self._progress = progress
        self.pending = pending

    def until(self, is_over: Callable[[], bool]) -> None:
        """Send a batch now and then until that is so."""
        end = time.monotonic() + PATIENCE_SECONDS
        next_batch = time.monotonic()
        while not is_over():
            if time.monotonic() > end:
                raise ServerError(f"waited {PATIENCE_SECONDS} s for a flow run to end; see logs/runner.log")
            if self.pending and time.monotonic() >= next_batch:
                self._progress.sent(self._application.send(self.pending[0]))
                self.pending = self.pending[1:]
                next_batch += TRICKLE_SECONDS
            time.sleep(POLL_SECONDS)


def windows(begin: datetime, last: datetime, length: timedelta) -> Iterator[Window]:
    """Windows of that length from `begin` on, until one holds `last`."""
    start = begin
    while start <= last:
        yield Window(start, start + length)
        start += length


def _fresh_home(output: Path) -> Environment:
    home = output.resolve() / "home"
    environment = Environment(home=home)
    state.stop(environment)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    return environment


@contextmanager
def _stack(environment: Environment, screen: Screen, *, keep: bool) -> Iterator[Environment]:
    with screen.step("starting the servers"):
        joined = start_stack(environment, PROJECT_FILE, screen.say)
    try:
        yield joined
    except BaseException:
        state.stop(environment)
        raise
    if keep:
        screen.addresses(state.read(environment), environment.folder)
    else:
        state.stop(environment)

"""Tasks that replay policies over the past."""

import json
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import polars as pl

from components.data.blocks import blocks
from components.errors import DataError, EverfitError, ModelError
from components.evaluation.metrics import metric_named
from components.monitoring.backtest_page import backtest_page
from components.monitoring.backtests import Backtest, as_json, mean_quality, tally
from components.monitoring.deciding import decide
from components.monitoring.replaying import Replay, Strategy, every_window, never, replay, windows_between
from components.monitoring.writing import write_whole
from components.records.watching import Window
from components.settings.environment import Environment
from components.settings.project import Project
from components.settings.reading import load_policy
from flows.backtesting import past as history
from flows.backtesting.making import Made, Workbench
from flows.backtesting.past import Past
from flows.backtesting.scoring import as_it_was, scores
from flows.backtesting.shelf import Order, Shelf
from flows.backtesting.world import PolicyWorld
from flows.tasks.policy import step

log = logging.getLogger(__name__)

NEVER, ALWAYS, LOGGED = "never", "every window", "as it was"
# Two trainings at a time, each on one thread: what a laptop of two cores can carry.
FITS_AT_ONCE = 2

Orders = dict[Order, Made | EverfitError]


@step
def read_policies(project: Project, files: Sequence[Path]) -> dict[str, Project]:
    """The project with each policy in it, by the policy's name; with its own one if none is given."""
    if not files:
        return {"the project's": project}
    stems = [file.stem for file in files]
    names = [file.stem if stems.count(file.stem) == 1 else str(file) for file in files]
    policies = [load_policy(file) for file in files]
    return {
        name: project.model_copy(update={"monitoring": policy}) for name, policy in zip(names, policies, strict=True)
    }


@step
def read_past(project: Project, source: str | None, begin: datetime | None, label_delay: timedelta | None) -> Past:
    """The rows to replay over: a raw table if one is named, else what was logged, else the project's own source."""
    folder = _folder(project) / "past"
    is_raw = source is not None or not history.has_logged(project)
    if is_raw:
        own = source in {None, "project"}
        return history.raw_past(project, folder, source=None if own else source, begin=begin, label_delay=label_delay)
    return history.logged_past(project, folder, begin=begin, label_delay=label_delay)


@step
def make_models(past: Past, contenders: dict[str, Project]) -> Orders:
    """Every model that a retraining could have made, two at a time; what came of each, failures among them."""
    shelf = _shelf(past, next(iter(contenders.values())))
    wanted = {
        (project.monitoring.retrain.model_dump_json(), window.end): past.project(project)
        for project in contenders.values()
        if project.monitoring.retrain.start == "scratch"  # else it depends on which model is live
        for window in _windows(past, project)
    }

    def make(wish: tuple[str, datetime]) -> None:
        with suppress(DataError, ModelError):  # told where the model is asked for
            shelf.made(wanted[wish], wish[1])

    with ThreadPoolExecutor(FITS_AT_ONCE) as pool:
        if past.logged is None:
            pool.submit(shelf.bench.first, past.begin)  # should it fail, the replay says so
        list(pool.map(make, wanted))
    return shelf.orders


@step
def replay_policies(past: Past, contenders: dict[str, Project], orders: Orders) -> Backtest:
    """What each policy would have done, beside never and every window, and how good that would have been."""
    one = next(iter(contenders.values()))
    shelf = _shelf(past, one, orders)
    first = shelf.first(past.project(one), history.first_logged(one, past) if past.logged else None).number
    replays = [_replay(Strategy(NEVER, never, looks=False), past, one, shelf, first)]
    for name, project in _always(contenders).items():
        replays.append(_replay(Strategy(name, every_window, looks=False), past, project, shelf, first))
    for name, project in contenders.items():
        decider = partial(decide, policy=project.monitoring)
        replays.append(_replay(Strategy(name, decider), past, project, shelf, first))
    windows = tuple(_windows(past, one))
    served = {found.name: scores(found, windows, shelf, one) for found in replays}
    base, metric = mean_quality(served[NEVER]), one.evaluation.metric
    tallies = [tally(found, served[found.name], metric, base=base) for found in replays]
    if past.logged:
        tallies.append(as_it_was(LOGGED, windows, shelf, one, base=base))
    return Backtest(
        project=one.name,
        metric=metric,
        lower_is_better=metric_named(metric).lower_is_better,
        origin=past.origin,
        begin=past.begin,
        end=past.end,
        label_delay_hours=past.label_delay / timedelta(hours=1),
        windows=windows,
        tallies=tuple(tallies),
        replays=tuple(replays),
        policies=tuple(contenders),
    )


@step
def write_backtest(found: Backtest, folder: Path) -> list[Path]:
    """The backtest as `backtest.json` and as a page, in the folder."""
    figures = folder / "backtest.json"
    write_whole(figures, json.dumps(as_json(found), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return [figures, backtest_page(found, folder / "backtest.html")]


def _always(contenders: dict[str, Project]) -> dict[str, Project]:
    """One that retrains after every window for each kind of windows and retrainings among the policies."""
    kinds: dict[tuple[str, str], str] = {}
    for name, project in contenders.items():
        policy = project.monitoring
        kinds.setdefault((f"{policy.window} {policy.window_rows}", policy.retrain.model_dump_json()), name)
    several = len(kinds) > 1
    return {f"{ALWAYS} of {name}" if several else ALWAYS: contenders[name] for name in kinds.values()}


def _replay(strategy: Strategy, past: Past, project: Project, shelf: Shelf, first: int) -> Replay:
    world = PolicyWorld(past.project(project), shelf)
    found = replay(strategy, _windows(past, project), world, first)
    log.info("policy replayed name=%s windows=%d retrainings=%d", found.name, len(found.windows), len(found.trials))
    return found


def _windows(past: Past, project: Project) -> list[Window]:
    """The windows that the policy asks for: of a length of time, or full blocks of rows."""
    rows = project.monitoring.window_rows
    if rows is None:
        return windows_between(past.begin, past.end, project.monitoring.window)
    times = pl.read_parquet(past.rows, columns=[project.data.timestamp])[project.data.timestamp].sort()
    return blocks(times, rows, start=past.begin)


def _shelf(past: Past, project: Project, orders: Orders | None = None) -> Shelf:
    return Shelf.of(project, past, Workbench(past.project(project), _folder(project) / "models"), orders)


def _folder(project: Project) -> Path:
    return Environment().work(project.name) / "backtests"

"""The one table of timeouts and retries.

Only a `PassingFault` is retried: a network that dropped, a server that restarts; anything else would fail again. No
task result is kept: what passes between tasks are small records, and what is worth keeping stands in a table, a file or
the registry.
"""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from components.errors import PassingFault

P = ParamSpec("P")
R = TypeVar("R")

# name: (minutes until it counts as hung, retries after a passing fault)
POLICIES: dict[str, tuple[float, int]] = {
    "ingest": (30, 3),
    "check": (10, 0),
    "split": (10, 0),
    "begin_with": (10, 3),
    "fit": (240, 1),
    "shrink": (240, 1),
    "optimize": (60, 0),
    "score": (30, 0),
    "register": (10, 3),
    "judge": (30, 0),
    "try_out": (10, 0),
    "confirm": (5, 3),
    "promote": (5, 3),
    "reject": (5, 3),
    "champion": (5, 3),
    "await_live": (5, 3),
    "record_live": (5, 3),
    "begin": (5, 3),
    "challenger": (5, 3),
    "gather": (30, 3),
    "weigh": (5, 3),
    "begin_probation": (5, 3),
    "look_back": (30, 3),
    "take_back": (10, 3),
    "end_probation": (5, 3),
    "step_on": (5, 3),
    "crown": (5, 3),
    "send_away": (5, 3),
    "compact": (30, 3),
    "with_thresholds": (5, 3),
    "measure": (30, 3),
    "log_report": (5, 3),
    "decide": (5, 3),
    "announce": (5, 0),
    "live_rows": (10, 3),
    "claim": (5, 3),
    "answered": (5, 3),
    "finish": (5, 3),
    "settle": (5, 3),
    "notify": (2, 0),
    "remind": (2, 0),
    "predict_file": (1440, 3),
    "read_policies": (5, 0),
    "read_past": (30, 3),
    "make_models": (1440, 0),
    "replay_policies": (240, 0),
    "write_backtest": (5, 0),
}
RETRY_SECONDS = [2.0, 10.0, 30.0]


def step(function: Callable[P, R]) -> Task[P, R]:
    """The function as a task, with the policy that stands under its name."""
    minutes, retries = POLICIES[function.__name__]
    return task(
        name=function.__name__,
        timeout_seconds=minutes * 60,
        retries=retries,
        retry_delay_seconds=RETRY_SECONDS[:retries] or None,
        retry_condition_fn=is_passing,
        cache_policy=NO_CACHE,
        persist_result=False,
    )(function)


def is_passing(task: Task[Any, Any], run: Any, state: State[Any]) -> bool:
    """Whether a failed attempt may go better the next time."""
    failure = state.result(raise_on_failure=False)
    return isinstance(failure, PassingFault)

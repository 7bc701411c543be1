"""Killing processes of the stack: no acknowledged prediction is lost, and no decision is carried out twice."""

import signal
import threading
from datetime import timedelta

import psutil
import pytest

from components.data.compaction import compact
from components.data.windows import counts, read_window
from components.records.watching import Window
from components.registry import fetching, versions
from flows.demo.application import Application, Batch
from flows.folders import outbox
from tests.flows.conftest import due
from tests.flows.harness import Harness, eventually, is_alive
from tests.flows.small import BEGIN, NAME

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(1200), pytest.mark.slow]

WINDOW = timedelta(days=2)
START = BEGIN + timedelta(days=4)


class Client(Application):
    """An application that remembers every prediction id it was given."""

    def __init__(self, service: str) -> None:
        super().__init__(service, timedelta(0))
        self.acknowledged: list[str] = []

    def _keep(self, batch: Batch, answer: dict[str, object]) -> None:
        super()._keep(batch, answer)
        self.acknowledged += [str(prediction["id"]) for prediction in answer["predictions"]]  # type: ignore[attr-defined]


def test_a_service_killed_under_load_loses_no_acknowledged_prediction(live: Harness, batches: list[Batch]):
    """kill -9 of the whole service while rows come in: each id that was answered stands in the ledger once."""
    client = Client(live.environment.service)
    todo = due(batches, START, WINDOW)
    sender = threading.Thread(target=lambda: list(client.send_all(todo)))
    sender.start()
    eventually(lambda: len(client.acknowledged) > 200, 30, what="the first answers")

    killed = live.pid("service")
    for process in [*psutil.Process(killed).children(recursive=True), psutil.Process(killed)]:
        process.send_signal(signal.SIGKILL)
    eventually(lambda: live.pid("service") != killed, 30, what="the service to be started again")
    sender.join(120)
    eventually(lambda: _send(client, todo[0]), 90, what="an answer after the restart")

    frame = _ledger(live)
    logged = frame["prediction_id"].to_list()
    assert len(client.acknowledged) > 200
    assert set(client.acknowledged) <= set(logged)
    assert len(logged) == len(set(logged))


def test_a_runner_killed_while_retraining_leaves_one_retraining(live: Harness, batches: list[Batch]):
    """kill -9 of the runner with a retraining under way: it is taken up again, once, and never two at a time."""
    client = Client(live.environment.service)
    list(client.send_all(due(batches, START, WINDOW)))
    client.send_labels(START + WINDOW)
    live.run("monitor", until=START + WINDOW)
    claimed = eventually(lambda: _entry("running"), 60, what="a run to claim the decision")
    children = psutil.Process(live.pid("runner")).children(recursive=True)
    assert children

    killed = live.kill("runner")
    eventually(lambda: live.pid("runner") != killed, 30, what="the runner to be started again")
    gone = not any(is_alive(child.pid) for child in children)
    entry = eventually(lambda: _entry("done"), 240, what="the decision to be carried out")

    assert gone, "the killed runner's flow runs must not go on beside those of the new one"
    assert entry.decision.id == claimed.decision.id
    assert entry.attempts == 1
    runs = live.ended_runs("retrain", entry.decision.id)
    completed = [run for run in runs if run.state_name == "Completed"]
    crashed = [run for run in runs if run.state_name == "Crashed"]
    assert len(completed) == 1
    assert len(crashed) == 1
    candidates = [v for v in versions.versions(NAME) if v.version >= entry.candidate_version]
    assert len(candidates) == 1


def _send(client: Client, batch: Batch) -> bool:
    before = len(client.acknowledged)
    client.send(batch)
    return len(client.acknowledged) > before


def _ledger(live: Harness):
    champion = versions.champion(NAME)
    assert champion is not None
    schema = fetching.fetch(champion, live.environment.cache()).schema
    folder = live.environment.ledger(NAME)
    compact(folder, schema)
    assert counts(folder)["duplicates"] == 0
    return read_window(folder, Window(START, START + WINDOW), schema=schema)


def _entry(state: str):
    for entry in outbox(NAME).history(NAME):
        if entry.decision.window.end == START + WINDOW and entry.state == state:
            return entry
    return None

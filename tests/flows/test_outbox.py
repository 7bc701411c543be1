"""Prefect's events are not durable; the outbox is: a decision made while the server was away is carried out, once."""

import os
import subprocess
import sys
import time
from datetime import timedelta

import pytest

from flows.demo.application import Application, Batch
from flows.folders import outbox
from flows.stack.background import as_variables
from flows.tasks.reconciling import GRACE
from tests.flows.conftest import due
from tests.flows.harness import Harness, eventually
from tests.flows.small import BEGIN, NAME

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(900), pytest.mark.slow]

WINDOW = timedelta(days=2)
START = BEGIN + timedelta(days=8)


def test_a_decision_made_while_prefect_was_down_is_carried_out_once(live: Harness, batches: list[Batch]):
    """Prefect is killed; `everfit monitor` decides all the same; when Prefect is back, one retraining follows."""
    application = Application(live.environment.service, timedelta(0))
    list(application.send_all(due(batches, START, WINDOW)))
    application.send_labels(START + WINDOW)

    killed = live.kill("prefect")
    done = _monitor(live, START + WINDOW)
    open_entry = _entry()
    eventually(lambda: live.pid("prefect") != killed, 30, what="prefect to be started again")
    eventually(lambda: _answers(live), 90, what="prefect to answer again")
    time.sleep(GRACE.total_seconds())
    live.run("reconcile")
    live.run("reconcile")
    entry = eventually(lambda: _entry() if _entry().state == "done" else None, 300, what="the retraining")

    assert done.returncode == 0, done.stderr
    assert "the flow runs in this process" in done.stderr
    assert f"decision {open_entry.decision.id} stays open until Prefect answers again at http" in done.stdout
    assert open_entry.decision.verdict == "retrain"
    assert open_entry.state == "decided"
    runs = live.ended_runs("retrain", entry.decision.id)
    assert [run.state_name for run in runs] == ["Completed"]


def _monitor(live: Harness, until) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "flows",
        "monitor",
        str(live.project.file),
        "--until",
        f"{until:%Y-%m-%dT%H:%M:%S}",
    ]
    env = os.environ | as_variables(live.environment)
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)


def _answers(live: Harness) -> bool:
    try:
        return bool(live.runs("train"))
    except Exception:  # noqa: BLE001 - the client raises many kinds while the server starts
        return False


def _entry():
    return next(e for e in outbox(NAME).history(NAME) if e.decision.window.end == START + WINDOW)

"""Two breaches at once, and a busy trainer: one retraining a breach, one at a time, and what waits waits as one."""

import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta

import pytest

from components.data.decisions import DecisionEntry
from components.registry import versions
from components.settings.reading import load_project
from flows import turns
from flows.demo.application import Application, Batch
from flows.folders import outbox
from flows.monitor import monitor
from flows.retrain import retrain
from flows.stack.background import as_variables
from flows.tasks.reconciling import settle_decisions
from tests.flows.conftest import due
from tests.flows.harness import Harness, eventually
from tests.flows.plain import DIES
from tests.flows.small import BEGIN, NAME

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(900), pytest.mark.slow]

# Windows of days with sound data (from the 28th on gusts and pressure are missing), which end when those of no other
# module do: what the session has decided on is announced to nobody again.
SENT_FROM = BEGIN + timedelta(days=4, hours=2)
FIRST, SECOND, THIRD = (SENT_FROM + timedelta(hours=hours) for hours in (48, 60, 72))


def test_breaches_while_a_retraining_runs_wait_as_one(live: Harness, batches: list[Batch]):
    """The monitor is killed between announcing and noting it; two more windows breach while that retraining runs.

    The first is carried out once, the second gives way to the third, a person is refused with a sentence, and the third
    follows when the first has ended; or it is stale, if that has replaced the version it was measured under.
    """
    application = Application(live.environment.service, timedelta(0))
    list(application.send_all(due(batches, SENT_FROM, THIRD - SENT_FROM)))
    application.send_labels(THIRD)

    _monitor_killed(live, FIRST)
    settle_decisions(load_project(live.project.file), grace=timedelta(0))
    first = eventually(lambda: _entry(FIRST, "running"), 60, what="a run to take the first")
    monitor(live.project.file, until=SECOND)
    monitor(live.project.file, until=THIRD)
    second, third = _entry(SECOND), _entry(THIRD)
    refused = pytest.raises(turns.Taken, match=rf"wanted to retrain {NAME}, but process \d+ retrains it for decision")
    with refused:
        retrain(live.project.file)
    still = _entry(FIRST)
    first = eventually(lambda: _entry(FIRST, "done"), 240, what="the first retraining")
    third = eventually(lambda: _settled(live, THIRD), 240, what="the third to be carried out or looked at again")

    assert still.state == "running", "all of this was to happen while the first retraining ran"
    assert (second.state, second.outcome) == ("closed", "superseded")
    assert second.detail.startswith(f"decision {third.decision.id} asks for the same with newer data")
    assert _retrainings(live, first) == 1
    assert _retrainings(live, second) == 0
    if first.outcome == "promote":
        assert (third.state, third.outcome) == ("closed", "stale")
        assert f"was replaced by {first.candidate_version} meanwhile (a promotion" in third.detail
        assert _retrainings(live, third) == 0
    else:
        assert third.state == "done"
        assert _retrainings(live, third) == 1


def _monitor_killed(live: Harness, until: datetime) -> None:
    """`everfit monitor`, killed before it can note that it has told Prefect of its decision."""
    command = ["monitor", str(live.project.file), "--until", f"{until:%Y-%m-%dT%H:%M:%S}"]
    done = subprocess.run(
        [sys.executable, "-c", DIES, "mark_emitted:before", *command],
        env=os.environ | as_variables(live.environment),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def _entry(until: datetime, state: str = "") -> DecisionEntry | None:
    for entry in outbox(NAME).history(NAME):
        if entry.decision.window.end == until and state in {"", entry.state}:
            return entry
    return None


def _settled(live: Harness, until: datetime) -> DecisionEntry | None:
    """The entry, once nothing more will come of it; asks reconcile to see to it, as its schedule would."""
    settle_decisions(load_project(live.project.file), grace=timedelta(0))
    return _entry(until, "done") or _entry(until, "closed")


def _retrainings(live: Harness, entry: DecisionEntry) -> int:
    """How many versions were made for a decision, once every run for it has ended."""
    live.ended_runs("retrain", entry.decision.id)
    return len([one for one in versions.registered(NAME) if one.tags.get("decision_id") == entry.decision.id])

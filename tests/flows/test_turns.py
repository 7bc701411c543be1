"""One retraining of a project at a time, on one machine: the lock that dies with its process."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from components.data.decisions import Decisions
from components.errors import PassingFault
from components.records.watching import Decision, Window, WindowFacts
from flows import turns
from flows.folders import outbox
from tests.flows.harness import eventually

NAME = "small-flights"
START = datetime(2013, 1, 19, tzinfo=UTC)
# Takes the turn and the decision, and then does nothing until it is killed.
HOLDS = """
import sys, time
from flows import turns
from flows.folders import outbox
with turns.turn(sys.argv[1], sys.argv[2]):
    outbox(sys.argv[1]).claim(sys.argv[2], "the other run")
    print("has it", flush=True)
    time.sleep(120)
"""


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Decisions:
    """The outbox of a home folder of its own, with one open decision."""
    monkeypatch.setenv("EVERFIT_HOME", str(tmp_path))
    made = outbox(NAME)
    made.add(_decision("one"))
    return made


@pytest.fixture
def other(box: Decisions):
    """Another process that carries the decision out; killed in the end."""
    command = [sys.executable, "-c", HOLDS, NAME, "one"]
    process = subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(Path.cwd())}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "has it"
    yield process
    process.kill()
    process.wait()


def test_a_second_retraining_is_refused_with_a_sentence(box: Decisions, other):
    """It says who retrains, for which decision, since when, and what to do; the decision stays with whoever has it."""
    refused = rf"process {other.pid} retrains it for decision one since .*; wait until"

    with pytest.raises(turns.Taken, match=refused), turns.turn(NAME):
        pass

    assert turns.holder(NAME).pid == other.pid
    assert box.running(NAME)[0].run_id == "the other run"


def test_a_killed_retraining_gives_its_turn_and_its_decision_back(box: Decisions, other):
    """kill -9: the lock is free at once, and whoever takes the next turn opens the decision again, and counts it."""
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    eventually(lambda: turns.holder(NAME) is None, 10, what="the lock to be free")

    with turns.turn(NAME) as left:
        pass

    assert left == ["one"]
    (entry,) = box.pending(NAME)
    assert (entry.attempts, entry.detail) == (1, turns.GONE)


def test_whoever_waits_has_the_turn_when_the_other_ends(box: Decisions, other):
    """A run that follows a dying one need not be started twice."""
    os.kill(other.pid, signal.SIGTERM)

    with turns.turn(NAME, patience=timedelta(seconds=30)):
        assert turns.holder(NAME).pid == os.getpid()

    assert turns.holder(NAME) is None


@pytest.mark.parametrize(("error", "attempts"), [(ValueError("no rows"), 1), (PassingFault("MLflow is away"), 0)])
def test_what_ends_a_retraining_stands_at_its_decision(box: Decisions, error: Exception, attempts: int):
    """The decision is open again with the reason; a server that is away is not counted against it."""
    with pytest.raises(type(error)):
        _retrain_in_vain(box, error)

    (entry,) = box.pending(NAME)
    assert (entry.attempts, entry.detail) == (attempts, f"{type(error).__name__}: {error}")


def test_looking_never_turns_a_retraining_away(box: Decisions):
    """Asking who retrains holds the lock for an instant: a turn that is taken meanwhile waits for that."""
    command = "import sys\nfrom flows import turns\nwhile True: turns.holder(sys.argv[1])"
    looker = subprocess.Popen([sys.executable, "-c", command, NAME], env=os.environ | {"PYTHONPATH": str(Path.cwd())})
    try:
        for _ in range(200):
            with turns.turn(NAME, patience=timedelta(seconds=10)):
                assert turns.holder(NAME).pid == os.getpid()
    finally:
        looker.kill()
        looker.wait()


def _retrain_in_vain(box: Decisions, error: Exception) -> None:
    with turns.turn(NAME, "one"):
        box.claim("one", "this run")
        raise error


def _decision(name: str) -> Decision:
    window = Window(START, START + timedelta(days=2))
    return Decision(name, NAME, window, 1, "retrain", "because", (), WindowFacts(window, 1, 0, 0))

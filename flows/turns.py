"""One retraining of a project at a time: whoever retrains holds a lock beside the outbox.

The lock dies with its process, however that ends, and so it says what no state in a table can: whoever holds it is
alive, and where nobody does, a decision that is still `running` has lost its run. It binds runs of a Prefect
deployment, runs without a server and commands that a person types alike. Runs on several machines must share the folder
of the ledger, as they must for the outbox.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import IO

from components.errors import PassingFault
from flows.folders import outbox, turn_file

# Whoever only looks holds the lock for an instant, and must not turn away the one that takes it.
LOOKING = timedelta(seconds=1)
# A run that is dying because its runner was killed needs some seconds to be gone.
DYING = timedelta(seconds=30)
PAUSE_SECONDS = 0.1
GONE = "the process that carried it out is gone"


class Taken(PassingFault):
    """Another retraining of the project is under way."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who retrains.

    Attributes:
        pid: Process id.
        since: Since when (UTC).
        decision_id: The decision that asked for it; empty if a person did.
    """

    pid: int
    since: datetime
    decision_id: str

    def __str__(self) -> str:
        wanted = f"for decision {self.decision_id}" if self.decision_id else "for a person"
        return f"process {self.pid} retrains it {wanted} since {self.since:%Y-%m-%d %H:%M:%S} UTC"


@contextmanager
def turn(project: str, decision_id: str = "", *, patience: timedelta = LOOKING) -> Iterator[list[str]]:
    """Nobody else retrains the project meanwhile; yields the decisions that were found without their run.

    These are open again. So are, in the end, those that this process has taken and not ended, with what it died of.

    Args:
        project: Name of the project.
        decision_id: The decision that is to be carried out; empty if there is none.
        patience: How long to wait for another retraining to end.

    Raises:
        Taken: If another retraining goes on.
    """
    with turn_file(project).open("a+") as file:
        _take(file, project, patience)
        file.truncate(0)  # what a killed one left
        left = _give_back(project, GONE)
        _write(file, Holder(os.getpid(), datetime.now(UTC), decision_id))
        try:
            yield left
        except BaseException as err:
            # Whatever is away comes back; of anything else a retraining may die again.
            _give_back(project, _short(err), counts=not isinstance(err, PassingFault))
            raise
        finally:
            file.truncate(0)


def holder(project: str) -> Holder | None:
    """Who retrains the project now; None if nobody does."""
    with turn_file(project).open("a+") as file:
        for _ in range(10):
            if _try(file):
                return None
            file.seek(0)
            if text := file.read():
                facts = json.loads(text)
                return Holder(facts["pid"], datetime.fromisoformat(facts["since"]), facts["decision_id"])
            time.sleep(PAUSE_SECONDS)  # the instant between the lock and the note
    return Holder(0, datetime.now(UTC), "")


def _take(file: IO[str], project: str, patience: timedelta) -> None:
    end = time.monotonic() + patience.total_seconds()
    while not _try(file):
        if time.monotonic() > end:
            raise Taken(
                f"wanted to retrain {project}, but {holder(project) or 'another process has just begun to'}; wait "
                "until that has ended (everfit decisions says so), then try again"
            )
        time.sleep(PAUSE_SECONDS)


def _try(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(file: IO[str], found: Holder) -> None:
    file.seek(0)
    file.truncate()
    facts = {"pid": found.pid, "since": found.since.isoformat(), "decision_id": found.decision_id}
    file.write(json.dumps(facts))
    file.flush()


def _give_back(project: str, reason: str, *, counts: bool = True) -> list[str]:
    """Opens every decision that is running; which these were. Only whoever holds the lock may know that none runs."""
    box = outbox(project)
    running = [(entry.decision.id, entry.run_id) for entry in box.running(project)]
    return [one for one, run_id in running if box.release(one, reason, run_id=run_id, counts=counts)]


def _short(err: BaseException) -> str:
    """What ended it, as one line of a length that a person reads."""
    line = " ".join(f"{type(err).__name__}: {err}".split())
    return line if len(line) <= 300 else f"{line[:300]}..."

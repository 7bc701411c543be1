"""What one worker process holds: the ledger, the follower, the answers; opened when it starts, closed when it ends."""

import logging
import os
import signal
import threading
from pathlib import Path

from components.data.ledger import Ledger
from components.data.privacy import Privacy, privacy_of
from components.serving.access import Access
from components.serving.admission import Admission
from components.serving.answering import Answering, Holder
from components.serving.command import STARTER_VARIABLE
from components.serving.counters import Counters
from components.serving.follower import Follower
from components.serving.keeping import Keeper
from components.serving.pinned import Pinned
from components.settings.environment import Environment
from components.settings.project import Project
from components.settings.reading import load_project
from components.settings.serving import LimitSettings

log = logging.getLogger(__name__)

# A restarted worker loads its version before its first request; with the registry hanging it starts without.
FIRST_LOOK_SECONDS = 30.0
ORPHAN_SECONDS = 0.5


class Worker:
    """One process that answers requests.

    Args:
        project_file: The project file. The user's own source class is never imported here.
        environment: Where things run.
    """

    def __init__(self, project_file: Path, environment: Environment) -> None:
        project = load_project(project_file)
        serving = project.serving
        counters = Counters()
        privacy = privacy_of(project, environment)
        folder = environment.ledger(project.name)
        self._ledger = Ledger(folder, serving.durability, privacy=privacy, syncs_apart=True)
        keeper = Keeper(
            self._ledger,
            counters,
            waits_for_disk=serving.durability == "disk",
            serves_unkept=serving.on_ledger_failure == "serve",
        )
        self.access = Access(environment)
        # A lone worker is asked by whoever starts it, as fast as it answers.
        limits = LimitSettings() if STARTER_VARIABLE in os.environ else serving.limits
        self.admission = Admission(limits, counters, max_bytes=int(serving.max_body_mb * 1e6))
        self._holder = _holder(project, environment, counters, privacy)
        self.answering = Answering(
            self._holder,
            self._ledger,
            folder,
            counters,
            max_rows=serving.max_rows,
            max_bytes=int(serving.max_body_mb * 1e6),
            keeper=keeper,
        )

    def start(self) -> None:
        """Take the champion, then follow the alias, or take the pinned version; returns after the first look."""
        # Who started it says so where it can: by now, one that was killed is not the parent any more.
        starter = int(os.environ.get(STARTER_VARIABLE) or os.getppid())
        threading.Thread(target=_leave_with, args=(starter,), name="everfit-orphan", daemon=True).start()
        self._holder.start(wait_seconds=FIRST_LOOK_SECONDS)

    def close(self) -> None:
        """Look no more, and let go of the ledger."""
        self._holder.stop()
        self.answering.close()
        self._ledger.close()


def _holder(project: Project, environment: Environment, counters: Counters, privacy: Privacy | None) -> Holder:
    """What holds the version that answers."""
    cache, max_rows = environment.cache(), project.serving.max_rows
    if environment.pinned_version is not None:
        number = environment.pinned_version
        return Pinned(project.name, number, cache=cache, max_rows=max_rows, counters=counters, privacy=privacy)
    return Follower(
        project.name,
        cache=cache,
        max_rows=max_rows,
        poll_seconds=project.serving.poll_seconds,
        counters=counters,
        environment=environment,
        privacy=privacy,
    )


def _leave_with(parent: int) -> None:
    """End when the process that started this one is gone.

    BentoML's workers outlive a killed parent and keep the port: a restarted service would share it with a worker that
    nobody watches.
    """
    ended = threading.Event()
    while os.getppid() == parent:
        ended.wait(ORPHAN_SECONDS)
    log.warning("parent gone pid=%d; this worker ends", parent)
    os.kill(os.getpid(), signal.SIGTERM)

"""Keeps the service on the champion: looks where the alias points, and swaps only to a version that proved itself.

MLflow takes longer to import than all the rest, so a worker answers with the champion that its cache remembers before
it imports MLflow. Where that one is champion no more, the worker corrects itself at its first look, some seconds later;
until then its answers name the version that they are of, as ever.
"""

import gc
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from components.errors import EverfitError, ModelRefused
from components.records.models import ModelFiles, ModelVersion
from components.registry.opening import last_champion, open_version, remember_champion
from components.serving.counters import Counters
from components.serving.memory import settle_memory
from components.serving.predictor import Live, Predictor
from components.settings.environment import Environment

log = logging.getLogger(__name__)

# A version that failed is not tried again each second: after 2 s, 4 s, ... 5 minutes, or when the alias moves.
FIRST_REST_SECONDS = 2.0
LONGEST_REST_SECONDS = 300.0

Clock = Callable[[], float]


@dataclass(slots=True)
class _Broken:
    """A version that failed, why, and when it may be tried again (monotonic seconds)."""

    version: ModelVersion
    reason: str
    rest_seconds: float
    next_try: float


class Follower:
    """A thread that holds the version that answers in one attribute, `live`, and replaces it as a whole.

    A request reads `live` once, so all of its rows are answered by one version, and the version it names is the one
    that answered. Whatever goes wrong here (registry down, download broken, graph tampered with), the version that
    answers goes on answering; the reason stands in `last_error` until a look succeeds.

    Args:
        name: Name of the registered model.
        cache: Folder where downloaded versions are kept.
        max_rows: Largest number of rows in one request.
        poll_seconds: Seconds between two looks at the alias.
        counters: Where swaps and failures are counted.
        environment: Where the registry is; None if MLflow was told already.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        cache: Path,
        max_rows: int,
        poll_seconds: float,
        counters: Counters,
        environment: Environment | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.name = name
        self.live: Live | None = None
        self.last_error = ""
        self.looked_at: datetime | None = None
        self._cache = cache
        self._max_rows = max_rows
        self._poll_seconds = poll_seconds
        self._counters = counters
        self._environment = environment
        self._clock = clock
        self._broken: _Broken | None = None
        self._stopped = threading.Event()
        self._looked = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="everfit-follower", daemon=True)

    def start(self, *, wait_seconds: float) -> None:
        """Take the champion of last time, and begin to follow; with none to take, it returns after the first look.

        So a restarted worker answers from its first request on.

        Args:
            wait_seconds: Longest to wait for the first look.
        """
        known = last_champion(self.name, self._cache)
        if known is not None:
            self._take(known, self._from_cache)
        self._thread.start()
        if self.live is None:
            self._looked.wait(wait_seconds)

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def look(self) -> None:
        """Look at the alias once, and swap if it points to another version that proves itself."""
        self.looked_at = datetime.now(UTC)
        try:
            version = self._champion()
        except Exception as err:  # noqa: BLE001 - the registry's client raises much that is not ours, and a thread must not end of it
            self._note(f"the registry cannot be asked: {err}")
            self._fall_back()
            return
        if version is None:
            self._note("" if self.live is None else f"{self.name} has no alias champion any more; the last one answers")
        elif self.live is not None and version == self.live.predictor.version:
            self._broken = None
            self._note("")
        elif not self._rests(version):
            self._take(version, self._from_registry)

    def _follow(self) -> None:
        self.look()
        # MLflow is there for good now. Only frozen: to collect its heap would hold every request up for 100 ms.
        gc.freeze()
        self._looked.set()
        while not self._stopped.wait(self._poll_seconds):
            self.look()

    def _champion(self) -> ModelVersion | None:
        # Here, in the follower's own thread: see above.
        from components.registry.tracking import connect  # noqa: PLC0415
        from components.registry.versions import champion  # noqa: PLC0415

        if self._environment is not None:
            connect(self._environment)
            self._environment = None
        return champion(self.name)

    def _from_registry(self, version: ModelVersion) -> ModelFiles:
        from components.registry.fetching import fetch  # noqa: PLC0415

        return fetch(version, self._cache)

    def _from_cache(self, version: ModelVersion) -> ModelFiles:
        """The files of a version that took over before, without the registry."""
        files = open_version(self._cache / version.name / str(version.version), version)
        if files is None:
            raise ModelRefused(
                f"wanted {version.name} version {version.version} in {self._cache}, found another registry's; it is "
                "fetched again once the registry answers"
            )
        return files

    def _fall_back(self) -> None:
        """With no registry and nothing loaded, the champion of last time is better than no answer."""
        if self.live is not None:
            return
        known = last_champion(self.name, self._cache)
        if known is None:
            return
        why = self.last_error
        if not self._rests(known):
            self._take(known, self._from_cache)
        if self.live is not None:
            self.last_error = why
        elif self._broken is not None:
            self.last_error = f"{self._broken.reason}; {why}"

    def _take(self, version: ModelVersion, files: Callable[[ModelVersion], ModelFiles]) -> None:
        started = time.monotonic()
        try:
            predictor = Predictor(files(version), max_rows=self._max_rows)
            rows = predictor.check()
        except Exception as err:  # noqa: BLE001 - whatever is wrong with a new version, the old one goes on
            self._blame(version, err)
            return
        self.live = Live(predictor, datetime.now(UTC))
        self._broken = None
        self.last_error = ""
        self._counters.version.set(version.version)
        self._counters.swaps.inc()
        self._remember(version)
        settle_memory()
        seconds = time.monotonic() - started
        log.info(
            "version live model=%s version=%d checked_rows=%d seconds=%.2f", self.name, version.version, rows, seconds
        )

    def _remember(self, version: ModelVersion) -> None:
        try:
            remember_champion(version, self._cache)
        except (OSError, EverfitError) as err:
            log.warning(
                "champion not remembered version=%d error=%s; make %s writable", version.version, err, self._cache
            )

    def _rests(self, version: ModelVersion) -> bool:
        """Whether this version failed a moment ago; another one is tried at once."""
        if self._broken is None or self._broken.version != version:
            self._broken = None
            return False
        return self._clock() < self._broken.next_try

    def _blame(self, version: ModelVersion, err: Exception) -> None:
        rest = min(self._broken.rest_seconds * 2, LONGEST_REST_SECONDS) if self._broken else FIRST_REST_SECONDS
        reason = f"version {version.version} was not taken: {err}"
        self._broken = _Broken(version, reason, rest, self._clock() + rest)
        self._note(reason)

    def _note(self, error: str) -> None:
        """Keep the reason for /model; the log hears of it once, not each second."""
        if error:
            self._counters.follow_failures.inc()
        if error and error != self.last_error:
            answering = self.live.predictor.version.version if self.live else "none"
            log.warning("champion not followed model=%s answering=%s error=%s", self.name, answering, error)
        self.last_error = error

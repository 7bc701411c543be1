"""Keeps the service on the champion: looks where the alias points, and swaps only to a version that proved itself."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from components.errors import EverfitError
from components.records.models import ModelVersion
from components.registry.fetching import fetch, last_champion, remember_champion
from components.registry.versions import champion
from components.serving.counters import Counters
from components.serving.memory import settle_memory
from components.serving.predictor import Live, Predictor

log = logging.getLogger(__name__)

# A version that failed is not tried again each second: after 2 s, 4 s, ... 5 minutes, or when the alias moves.
FIRST_REST_SECONDS = 2.0
LONGEST_REST_SECONDS = 300.0

Clock = Callable[[], float]


@dataclass(slots=True)
class _Broken:
    """A version that failed, and when it may be tried again (monotonic seconds)."""

    version: ModelVersion
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
        self._clock = clock
        self._broken: _Broken | None = None
        self._stopped = threading.Event()
        self._looked = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="everfit-follower", daemon=True)

    def start(self, *, wait_seconds: float) -> None:
        """Begin to follow; returns after the first look, so that a restarted worker answers from its first request on.

        Args:
            wait_seconds: Longest to wait for the first look.
        """
        self._thread.start()
        self._looked.wait(wait_seconds)

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def look(self) -> None:
        """Look at the alias once, and swap if it points to another version that proves itself."""
        self.looked_at = datetime.now(UTC)
        try:
            version = champion(self.name)
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
            self._take(version)

    def _follow(self) -> None:
        while not self._stopped.is_set():
            self.look()
            self._looked.set()
            self._stopped.wait(self._poll_seconds)

    def _fall_back(self) -> None:
        """With no registry and nothing loaded, the champion of last time is better than no answer."""
        if self.live is not None:
            return
        known = last_champion(self.name, self._cache)
        if known is not None and not self._rests(known):
            why = self.last_error
            self._take(known)
            self.last_error = self.last_error or why

    def _take(self, version: ModelVersion) -> None:
        started = time.monotonic()
        try:
            predictor = Predictor(fetch(version, self._cache), max_rows=self._max_rows)
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
        self._broken = _Broken(version, rest, self._clock() + rest)
        self._note(f"version {version.version} was not taken: {err}")

    def _note(self, error: str) -> None:
        """Keep the reason for /model; the log hears of it once, not each second."""
        if error:
            self._counters.follow_failures.inc()
        if error and error != self.last_error:
            answering = self.live.predictor.version.version if self.live else "none"
            log.warning("champion not followed model=%s answering=%s error=%s", self.name, answering, error)
        self.last_error = error

"""A version answers only after it has proven itself, and one that failed is left in peace for a while."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from components.data.privacy import Privacy
from components.records.models import ModelFiles, ModelVersion
from components.serving.counters import Counters
from components.serving.predictor import Predictor

log = logging.getLogger(__name__)

# A version that failed is not tried again each second: after 2 s, 4 s, ... 5 minutes, or when another one is tried.
FIRST_REST_SECONDS = 2.0
LONGEST_REST_SECONDS = 300.0

Clock = Callable[[], float]
Opener = Callable[[ModelVersion], ModelFiles]


@dataclass(frozen=True, slots=True)
class _Broken:
    """A version that failed, why, and when it may be tried again (monotonic seconds)."""

    version: ModelVersion
    reason: str
    rest_seconds: float
    next_try: float


class Proving:
    """Loads, checks and warms one version after the other; never raises for what is wrong with one.

    Args:
        max_rows: Largest number of rows in one request.
        counters: Where refused versions are counted.
        clock: Monotonic seconds.
        privacy: Whose columns every version must have.
    """

    def __init__(
        self, *, max_rows: int, counters: Counters, clock: Clock = time.monotonic, privacy: Privacy | None = None
    ) -> None:
        self._privacy = privacy
        self._max_rows = max_rows
        self._counters = counters
        self._clock = clock
        self._broken: _Broken | None = None

    @property
    def reason(self) -> str:
        """Why the version that was tried last was not taken; empty if it was."""
        return self._broken.reason if self._broken is not None else ""

    def rests(self, version: ModelVersion) -> bool:
        """Whether this version failed a moment ago; another one is tried at once."""
        if self._broken is None or self._broken.version != version:
            self._broken = None
            return False
        return self._clock() < self._broken.next_try

    def forget(self) -> None:
        """Let the next try begin afresh."""
        self._broken = None

    def prove(
        self, version: ModelVersion, opened: Opener, fits: Callable[[Predictor], None] | None = None
    ) -> Predictor | None:
        """The version, ready to answer; None if it failed, with the `reason`.

        Args:
            version: Which version.
            opened: How its files are had.
            fits: Raises if the version is right in itself, but not here.
        """
        started = time.monotonic()
        try:
            predictor = Predictor(opened(version), max_rows=self._max_rows)
            if self._privacy is not None:
                self._privacy.check(predictor.schema)
            if fits is not None:
                fits(predictor)
            rows = predictor.check()
        except Exception as err:  # noqa: BLE001 - whatever is wrong with a new version, the old one goes on
            self._blame(version, err)
            return None
        self._broken = None
        seconds = time.monotonic() - started
        log.info(
            "version proven model=%s version=%d checked_rows=%d seconds=%.2f",
            *(version.name, version.version, rows, seconds),
        )
        return predictor

    def _blame(self, version: ModelVersion, err: Exception) -> None:
        rest = min(self._broken.rest_seconds * 2, LONGEST_REST_SECONDS) if self._broken else FIRST_REST_SECONDS
        reason = f"version {version.version} was not taken: {err}"
        self._broken = _Broken(version, reason, rest, self._clock() + rest)
        self._counters.rollout.refused(err)

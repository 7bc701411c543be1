"""Keeps the service on one version that stands in its cache: for the sandbox, or to stay off the alias.

Asks no registry and imports nothing of it: without MLflow a service starts in half the time.
"""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.data.privacy import Privacy
from components.registry.opening import open_cached
from components.serving.challenging import Challenging
from components.serving.counters import Counters
from components.serving.memory import settle_memory
from components.serving.predictor import Live, Predictor

log = logging.getLogger(__name__)


class Pinned:
    """Holds one version in `live` for as long as the process lives; why it could not, in `last_error`.

    Args:
        name: Name of the registered model.
        number: The version.
        cache: Folder where downloaded versions are kept.
        max_rows: Largest number of rows in one request.
        counters: Where the version that answers is told.
        privacy: Whose columns the version must have.
    """

    def __init__(
        self,
        name: str,
        number: int,
        *,
        cache: Path,
        max_rows: int,
        counters: Counters,
        privacy: Privacy | None = None,
    ) -> None:
        self._privacy = privacy
        self.name = name
        self.live: Live | None = None
        self.last_error = ""
        self.looked_at: datetime | None = None
        self.challenger: Challenging | None = None
        self._number = number
        self._cache = cache
        self._max_rows = max_rows
        self._counters = counters

    def start(self, *, wait_seconds: float) -> None:
        """Load the version; returns when it answers or cannot: there is nobody to wait for."""
        self.looked_at = datetime.now(UTC)
        try:
            predictor = Predictor(open_cached(self.name, self._number, self._cache), max_rows=self._max_rows)
            if self._privacy is not None:
                self._privacy.check(predictor.schema)
            rows = predictor.check()
        except Exception as err:  # noqa: BLE001 - whatever is wrong with it, the service says so where it is asked
            self.last_error = f"version {self._number} was not taken: {err}"
            log.warning("pinned version not taken model=%s version=%d error=%s", self.name, self._number, err)
            return
        self.live = Live(predictor, datetime.now(UTC))
        self._counters.version.set(self._number)
        settle_memory()
        log.info("version pinned model=%s version=%d checked_rows=%d", self.name, self._number, rows)

    def challenger_facts(self) -> dict[str, Any] | None:
        """None: nothing is asked beside it."""
        return None

    def stop(self) -> None:
        """Nothing: it looks at nothing."""

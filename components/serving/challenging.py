"""The challenger inside a worker: which requests are its to answer, and when it is asked no more.

Whether it goes on to its next step, or is sent away, is decided elsewhere, from the ledger and from /metrics.
"""

import hashlib
import logging
import random
import time
from typing import Any

from components.data.ledger import CANARY, SHADOW
from components.errors import ModelRefused
from components.records.models import Challenger
from components.records.rows import Schema
from components.serving.predictor import Outputs, Predictor
from components.serving.refusals import without_folders
from components.serving.rollout_counters import RolloutCounters

log = logging.getLogger(__name__)

# Chance alone hardly does this to a version that fails one request of a hundred; one that is broken is found at once.
FAILURES_IN_A_ROW = 20


class Challenging:
    """A challenger that is loaded, at one step of its rollout; it is replaced as a whole at the next step.

    Args:
        state: Which version, asked how, for which share.
        predictor: The version, ready to answer.
        counters: Where its requests and failures are counted.
    """

    def __init__(self, state: Challenger, predictor: Predictor, counters: RolloutCounters) -> None:
        self.state = state
        self.predictor = predictor
        self.is_asked = True
        self.failures = 0
        self.last_reason = ""
        self._in_a_row = 0
        self._counters = counters
        self._seconds = counters.seconds_of(state.variant, state.version.version)
        self._salt = f"{state.version.name}/{state.version.version}/".encode()

    @property
    def is_shadow(self) -> bool:
        """Whether it scores beside the champion, unseen."""
        return self.state.variant == SHADOW and self.is_asked

    def answers(self, entity_id: str | None) -> bool:
        """Whether a request is the canary's to answer: by the id of its first row, or by chance where it has none.

        The same id stays on the canary's side while the share grows, and finds itself anywhere with another version.
        """
        if self.state.variant != CANARY or not self.is_asked:
            return False
        return (random.random() if entity_id is None else self.place(entity_id)) < self.state.share  # noqa: S311

    def place(self, entity_id: str) -> float:
        """Where an id stands between 0 and 1; the canary answers those below its share."""
        digest = hashlib.blake2b(self._salt + entity_id.encode(errors="surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest) / 2**64

    def run(self, columns: dict[str, Any]) -> Outputs:
        """What it says of these rows; whatever it raises is for the caller to hand to `failed`."""
        started = time.perf_counter()
        outputs = self.predictor.run(columns)
        self._seconds.observe(time.perf_counter() - started)
        self._in_a_row = 0
        return outputs

    def failed(self, err: Exception) -> None:
        """Count a request that it could not answer; after some in a row it is asked no more in this step."""
        self.failures += 1
        self._in_a_row += 1
        version, variant = self.state.version, self.state.variant
        self.last_reason = f"version {version.version} failed as {variant}: {without_folders(str(err))}"
        self._counters.failed(variant, version.version, err)
        if self.is_asked and self._in_a_row >= FAILURES_IN_A_ROW:
            self.is_asked = False
            self.last_reason += f"; after {FAILURES_IN_A_ROW} failures in a row it is asked no more in this step"
            log.warning("challenger asked no more model=%s reason=%s", version.name, self.last_reason)

    def facts(self) -> dict[str, Any]:
        """What GET /model says of it."""
        return _facts(self.state) | {
            "is_asked": self.is_asked,
            "failures": self.failures,
            "last_reason": self.last_reason,
        }


def refused_facts(state: Challenger | None, reason: str) -> dict[str, Any]:
    """What GET /model says of a challenger that was not taken; None if not even its step is known."""
    return _facts(state) | {"is_asked": False, "failures": 0, "last_reason": without_folders(reason)}


def check_comparable(challenger: Schema, champion: Schema, version: int) -> None:
    """Refuse a challenger that cannot be asked what the champion is asked.

    Raises:
        ModelRefused: If it needs a column that the champion does not take, or predicts something else.
    """
    takes = {column.name: column.kind for column in champion.features}
    others = [column.name for column in challenger.features if takes.get(column.name) != column.kind]
    if others:
        raise ModelRefused(
            f"wanted a challenger that takes what the champion is asked, found version {version} with other columns "
            f"({', '.join(others)}); release it with serving.rollout.mode: direct"
        )
    wants, found = ((one.target, one.target_kind, one.classes) for one in (champion, challenger))
    if wants != found:
        raise ModelRefused(
            f"wanted a challenger that predicts {wants}, found version {version} that predicts {found}; release it "
            "with serving.rollout.mode: direct"
        )


def _facts(state: Challenger | None) -> dict[str, Any]:
    names = ("variant", "share", "step", "since")
    version = state.version.version if state is not None else None
    return {"version": version} | {name: getattr(state, name, None) for name in names}

"""Asks a shadow what the champion was asked, behind the answers, and keeps what it said in the ledger.

A shadow must never slow an answer down or fail it. So a request only leaves its rows here; one thread of low duty takes
them up later, and what does not fit into its queue is dropped and counted.
"""

import threading
import time
from collections import deque
from dataclasses import dataclass

import msgspec

from components.data.ledger import SHADOW, Ledger, PredictionBatch
from components.errors import LedgerError
from components.serving.challenging import Challenging
from components.serving.rollout_counters import RolloutCounters
from components.serving.rows import Rows

# Rows that may wait: a second of 5,000 requests a second, or two large requests (20 columns of them are some 10 MB).
WAITING_ROWS = 5_000
# The thread looks so often; no request has to wake it, which would take from that request.
LOOK_SECONDS = 0.01
# Python lets one thread run at a time, so after each request it stays away four times as long as it was there: a worker
# that has no time left loses at most a fifth of it (a third when the rest was as long as the run), and a shadow follows
# some 800 requests a second.
REST_SHARE = 4.0


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request that the champion answered.

    Attributes:
        challenger: Who is to be asked beside it.
        rows: What was asked.
        kept: What the champion answered, as the ledger has it.
        other_ms: What the request took besides the champion's run, milliseconds.
    """

    challenger: Challenging
    rows: Rows
    kept: PredictionBatch
    other_ms: float


class Shadowing:
    """One thread a worker, begun with the first request that a shadow is asked for.

    Args:
        ledger: Where its answers are kept, as rows of the variant `shadow` with the ids of the champion's rows.
        counters: Where dropped requests are counted.
    """

    def __init__(self, ledger: Ledger, counters: RolloutCounters) -> None:
        self._ledger = ledger
        self._counters = counters
        self._queue: deque[_Asked] = deque()
        self._waiting_rows = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, challenger: Challenging, rows: Rows, kept: PredictionBatch, *, other_ms: float) -> None:
        """Leave a request for the shadow; returns at once.

        Args:
            challenger: Who is to be asked.
            rows: What was asked.
            kept: What the champion answered.
            other_ms: What the request took besides the champion's run, milliseconds.
        """
        with self._lock:
            fits = not self._waiting_rows or self._waiting_rows + len(rows) <= WAITING_ROWS
            if fits and not self._stopped.is_set():
                self._waiting_rows += len(rows)
                self._queue.append(_Asked(challenger, rows, kept, other_ms))
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, name="everfit-shadow", daemon=True)
                    self._thread.start()
        if not fits:
            self._counters.dropped(challenger.state.version.version)

    def close(self) -> None:
        """Ask no more: what waits is dropped, as by a kill. Returns when the ledger is not used any more."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            while self._queue and not self._stopped.is_set():
                seconds = self._ask(self._queue.popleft())
                time.sleep(seconds * REST_SHARE)

    def _ask(self, asked: _Asked) -> float:
        """Seconds that it took."""
        started = time.perf_counter()
        if asked.challenger.is_shadow:
            try:
                self._keep(asked)
            except LedgerError:  # no fault of the challenger's
                self._counters.dropped(asked.challenger.state.version.version)
            except Exception as err:  # noqa: BLE001 - whatever is wrong with it, the champion has answered long ago
                asked.challenger.failed(err)
        with self._lock:
            self._waiting_rows -= len(asked.rows)
        return time.perf_counter() - started

    def _keep(self, asked: _Asked) -> None:
        # Processor time: while it waits for the requests before it, nobody waits for it.
        began = time.thread_time()
        outputs = asked.challenger.run(asked.rows.columns)
        run_ms = (time.thread_time() - began) * 1000
        files = asked.challenger.predictor.files
        self._ledger.record(
            msgspec.structs.replace(
                asked.kept,
                version=files.version.version,
                config_sha256=files.config_sha256,
                variant=SHADOW,
                latency_ms=asked.other_ms + run_ms,
                # They stand in the champion's row of the same id.
                inputs={},
                outputs=outputs.columns(),
            )
        )

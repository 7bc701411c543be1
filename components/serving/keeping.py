"""What was asked and what was answered, as the ledger keeps it, and when it is kept so well that it may be said."""

import logging
import time
from typing import Any, NamedTuple

from components.data.ledger import LabelBatch, Ledger, PredictionBatch, ids_of, new_request_id
from components.errors import LedgerError
from components.serving.commits import Commits
from components.serving.counters import Counters
from components.serving.predictor import Outputs, Predictor
from components.serving.rows import Rows

log = logging.getLogger(__name__)

# A full disk fails every request; the log, which may stand on it too, tells one a second.
TELL_SECONDS = 1.0


class Said(NamedTuple):
    """An answer, which may be sent once it is settled.

    Attributes:
        body: The answer.
        request_id: What the ledger calls the request.
        rows: How many rows were predicted; 0 where labels came.
        is_kept: Whether the ledger holds it.
    """

    body: bytes
    request_id: str
    rows: int = 0
    is_kept: bool = True


class Keeper:
    """Writes what is answered to the ledger, and knows what may be said then.

    Args:
        ledger: The ledger; with `waits_for_disk` it syncs apart.
        counters: What is counted.
        waits_for_disk: Whether an answer may be sent only once the disk holds it.
        serves_unkept: Whether predictions that cannot be kept are answered all the same; labels never are.
    """

    def __init__(self, ledger: Ledger, counters: Counters, *, waits_for_disk: bool, serves_unkept: bool) -> None:
        self._ledger = ledger
        self._counters = counters
        self._commits = Commits(ledger.sync) if waits_for_disk else None
        self._serves_unkept = serves_unkept
        self._told_at = -TELL_SECONDS

    def predictions(self, batch: PredictionBatch) -> bool:
        """Writes the predictions of one request; whether that worked.

        Raises:
            LedgerError: If it did not, and they must not be answered then.
        """
        try:
            self._ledger.record(batch, is_checked=True)
        except LedgerError as err:
            self._failed(err, is_label=False)
            return False
        return True

    def labels(self, batch: LabelBatch) -> None:
        """Writes the labels of one request.

        Raises:
            LedgerError: If that failed.
        """
        try:
            self._ledger.label(batch)
        except LedgerError as err:
            self._failed(err, is_label=True)

    async def settled(self, said: Said) -> Said:
        """The answer, once it is kept as durably as the project wants, or may be sent although it is not.

        Raises:
            LedgerError: If it is not kept, and must not be sent then.
        """
        if self._commits is not None and said.is_kept:
            try:
                await self._commits.done()
            except LedgerError as err:
                self._failed(err, is_label=not said.rows)
                said = said._replace(is_kept=False)
        if said.rows:
            (self._counters.rows if said.is_kept else self._counters.rows_not_kept).inc(said.rows)
        return said

    def _failed(self, err: LedgerError, *, is_label: bool) -> None:
        """Tell it, and raise it unless the owner chose to serve."""
        now = time.monotonic()
        if now - self._told_at >= TELL_SECONDS:
            self._told_at = now
            log.error("ledger not written error=%s", err)
        if is_label or not self._serves_unkept:
            self._counters.ledger_failures.inc()
            raise err


def to_keep(
    predictor: Predictor, rows: Rows, outputs: Outputs, *, received_us: int, latency_ms: float
) -> PredictionBatch:
    """The rows with their answers and new ids; every column has one entry a row.

    Args:
        predictor: The version that answered.
        rows: What was asked.
        outputs: What it said.
        received_us: When the rows came, microseconds since 1970 (UTC).
        latency_ms: How long the answer took.

    Raises:
        LedgerError: If there is not one answer for each row.
    """
    request_id = new_request_id()
    version = predictor.version
    answers = outputs.columns()
    for name, values in answers.items():
        if len(values) != len(rows):
            raise LedgerError(
                f"{version.name} version {version.version}: wanted {len(rows):,} values of {name}, one for each row, "
                f"found {len(values):,}; train it again"
            )
    ids = ids_of(request_id, len(rows))
    return batch_of(predictor, rows, answers, request_id, ids=ids, received_us=received_us, latency_ms=latency_ms)


def batch_of(
    predictor: Predictor,
    rows: Rows,
    answers: dict[str, Any],
    request_id: str,
    *,
    ids: list[str],
    received_us: int,
    latency_ms: float,
) -> PredictionBatch:
    """The rows with their answers by output name; without ids, they follow from the request's and the row's number."""
    version = predictor.version
    return PredictionBatch(
        request_id=request_id,
        model=version.name,
        version=version.version,
        config_sha256=predictor.files.config_sha256,
        received_at=received_us,
        latency_ms=latency_ms,
        ids=ids,
        rows=0 if ids else len(rows),
        timestamps=rows.timestamps,
        entity_ids=rows.entity_ids,
        inputs=rows.columns,
        outputs=answers,
    )

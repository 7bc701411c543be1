"""Writes down every prediction and every label the moment it is answered: before a caller is told, it is kept.

The service imports this: nothing here is heavier than msgspec. Reading is for `components.data.compaction`, which moves
what stands in the segments into tables, and for `components.data.windows`.
"""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from components.data.packed import pack, unpack
from components.data.segments import Durability
from components.data.writers import SegmentWriter
from components.errors import LedgerError, SchemaMismatch

if TYPE_CHECKING:  # it reads settings, and needs numpy
    from components.data.privacy import Privacy

PREDICTIONS = "predictions"
LABELS = "labels"

# Who answered: the champion, or the challenger in its place; a shadow only scored the champion's rows, under their ids.
CHAMPION = "champion"
CANARY = "canary"
SHADOW = "shadow"


# One entry a row: a list, or an array of numbers, which is written as its bytes. Read back it is always a list.
Values = Any


class PredictionBatch(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What was asked in one request and what was answered, column by column; every column has one entry a row.

    A column of numbers may be a list, or a numpy array of float64, float32 or int64: NaN then is a missing value.

    Attributes:
        request_id: The request.
        model: Name of the registered model.
        version: Version that answered.
        config_sha256: Hash of the project file that the version was trained with.
        received_at: When the request came, microseconds since 1970 UTC (wall time).
        latency_ms: How long the answer took, milliseconds.
        ids: Prediction ids, by which labels find their rows; see `new_ids`. Empty where `rows` is given: read back,
            row n then has the id `<request_id>-n`.
        timestamps: Event times of the rows, microseconds since 1970 UTC.
        entity_ids: The application's own row ids; None where it sent none.
        inputs: Raw column name to values: numbers, texts, or None.
        outputs: Output name to values: `prediction` (0 or 1, the name of the class, or a value), and `probability` or
            `probabilities` (a list a row).
        variant: `champion`, `canary` or `shadow`. A shadow's batch has the ids of the champion's, and no inputs: they
            stand there.
        rows: Number of rows, where there are no `ids`.
        caller_request_id: What the caller calls the request, where it says so.
        hashes: Column name to the hashes kept in place of its values, "" for a missing one.
        absent: Columns of which nothing is kept.
    """

    request_id: str
    model: str
    version: int
    config_sha256: str
    received_at: int
    latency_ms: float
    ids: list[str]
    timestamps: Values
    entity_ids: list[str | None]
    inputs: dict[str, Values]
    outputs: dict[str, Values]
    variant: str = CHAMPION
    rows: int = 0
    caller_request_id: str | None = None
    hashes: dict[str, Values] = {}
    absent: list[str] = []


class LabelBatch(msgspec.Struct, kw_only=True):
    """What turned out to be true, for one request's worth of predictions.

    Attributes:
        request_id: The request that brought the labels.
        received_at: When it came, microseconds since 1970 UTC (wall time).
        ids: Prediction ids.
        labels: The truth for each: a number, or the name of the class; None takes an earlier label back.
    """

    request_id: str
    received_at: int
    ids: list[str]
    labels: list[Any]


_predictions_decoder = msgspec.msgpack.Decoder(PredictionBatch, ext_hook=unpack)
_labels_decoder = msgspec.msgpack.Decoder(LabelBatch)


class Ledger:
    """One process's pen: each process that answers requests has its own.

    Args:
        folder: The project's ledger folder.
        durability: `process` survives a kill of this process; `disk` also a power cut.
        privacy: What is never kept as it came; None keeps everything.
        syncs_apart: With `disk`: what was recorded is kept only once `sync` has returned, which serves many at once.
    """

    def __init__(
        self,
        folder: Path,
        durability: Durability = "process",
        *,
        privacy: "Privacy | None" = None,
        syncs_apart: bool = False,
    ) -> None:
        self._privacy = privacy
        self._encoder = msgspec.msgpack.Encoder(enc_hook=pack)
        self._predictions, self._labels = (
            SegmentWriter(segment_folder(folder), kind, durability=durability, syncs_apart=syncs_apart)
            for kind in (PREDICTIONS, LABELS)
        )

    def record(self, batch: PredictionBatch, *, is_checked: bool = False) -> None:
        """Keeps the predictions of one request.

        Args:
            batch: The predictions.
            is_checked: All columns are known to be of one length: looking costs more than all the rest (5 of 9 us for
                one row of 20 columns).

        Raises:
            LedgerError: If they cannot be kept, or the columns are not of one length; nothing was kept then.
        """
        if not is_checked:
            columns = {
                "timestamps": batch.timestamps,
                "entity_ids": batch.entity_ids,
                **{f"inputs.{name}": values for name, values in batch.inputs.items()},
                **{f"outputs.{name}": values for name, values in batch.outputs.items()},
            }
            _check_lengths(batch.request_id, len(batch.ids) or batch.rows, columns)
        self._append(self._predictions, batch if self._privacy is None else self._hidden(batch, self._privacy))

    def label(self, batch: LabelBatch) -> None:
        """Keeps the labels of one request, also those whose prediction is not known here (yet).

        Raises:
            LedgerError: If they cannot be kept, or the lists are not of one length; nothing was kept then.
        """
        _check_lengths(batch.request_id, len(batch.ids), {"labels": batch.labels})
        self._append(self._labels, batch)

    def sync(self) -> None:
        """With `disk`: when this returns, all that was recorded before is on the disk.

        Raises:
            LedgerError: If the disk did not confirm it.
        """
        self._predictions.sync()
        self._labels.sync()

    def close(self) -> None:
        """Lets go of the files, so that a reader may delete them; a later call begins new ones."""
        self._predictions.close()
        self._labels.close()

    def _hidden(self, batch: PredictionBatch, privacy: "Privacy") -> PredictionBatch:
        try:
            return privacy.hide(batch)
        except SchemaMismatch as err:
            raise LedgerError(f"request {batch.request_id}: {err}; nothing was kept") from err

    def _append(self, writer: SegmentWriter, batch: PredictionBatch | LabelBatch) -> None:
        try:
            payload = self._encoder.encode(batch)
        except (TypeError, ValueError, OverflowError) as err:
            raise LedgerError(
                f"request {batch.request_id}: a ledger keeps numbers, texts and None, but something else came: {err}; "
                "convert the values before they are recorded"
            ) from err
        writer.append(payload)


def segment_folder(folder: Path) -> Path:
    """Where the segments of a ledger stand."""
    return folder / "segments"


def read_predictions(payload: bytes) -> PredictionBatch:
    """The batch in a frame of predictions, as lists, with its ids and with None for every missing value.

    Raises:
        msgspec.DecodeError: If the frame holds something else.
    """
    batch = _predictions_decoder.decode(payload)
    if not batch.ids:
        batch.ids = ids_of(batch.request_id, batch.rows)
    return batch


def read_labels(payload: bytes) -> LabelBatch:
    """The batch in a frame of labels.

    Raises:
        msgspec.DecodeError: If the frame holds something else.
    """
    return _labels_decoder.decode(payload)


def ids_of(request_id: str, rows: int) -> list[str]:
    """Ids of a request's rows."""
    return [f"{request_id}-{row}" for row in range(rows)]


def new_request_id() -> str:
    """Seconds and 48 random bits, such as `6d0b5a2f83c1e09b77d4`.

    Later seconds sort behind earlier ones. At 1,000 requests a second, two share an id once in 18 years.
    """
    return f"{int(time.time()):08x}{os.urandom(6).hex()}"


def new_ids(count: int) -> list[str]:
    """Ids for the rows of one new request: its id and the row number, such as `6d0b5a2f83c1e09b77d4-0`."""
    return ids_of(new_request_id(), count)


def _check_lengths(request_id: str, rows: int, columns: dict[str, Values]) -> None:
    """Refuses a crooked batch where its maker can be found: in a table, values would slip from one row to another."""
    wrong = {name: len(values) for name, values in columns.items() if len(values) != rows}
    if wrong:
        found = ", ".join(f"{name} has {count:,}" for name, count in wrong.items())
        raise LedgerError(
            f"request {request_id}: every list must have one entry for each of its {rows:,} ids, but {found}; "
            "fill missing values with None"
        )

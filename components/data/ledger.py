"""Writes down every prediction and every label the moment it is answered: before a caller is told, it is kept.

The service imports this: nothing here is heavier than msgspec. Reading is for `components.data.compaction`, which moves
what stands in the segments into tables, and for `components.data.windows`.
"""

import os
import time
from pathlib import Path
from typing import Any

import msgspec

from components.data.segments import Durability, SegmentWriter
from components.errors import LedgerError

PREDICTIONS = "predictions"
LABELS = "labels"

CHAMPION = "champion"


class PredictionBatch(msgspec.Struct, kw_only=True):
    """What was asked in one request and what was answered, column by column; every list has one entry a row.

    Attributes:
        request_id: The request.
        model: Name of the registered model.
        version: Version that answered.
        config_sha256: Hash of the project file that the version was trained with.
        received_at: When the request came, microseconds since 1970 UTC (wall time).
        latency_ms: How long the answer took, milliseconds.
        ids: Prediction ids, by which labels find their rows; see `new_ids`.
        timestamps: Event times of the rows, microseconds since 1970 UTC.
        entity_ids: The application's own row ids; None where it sent none.
        inputs: Raw column name to values: numbers, texts, or None.
        outputs: Output name to values: `prediction` (0 or 1, the name of the class, or a value), and `probability` or
            `probabilities` (a list a row).
        variant: `champion`, or whatever else was asked beside it.
    """

    request_id: str
    model: str
    version: int
    config_sha256: str
    received_at: int
    latency_ms: float
    ids: list[str]
    timestamps: list[int]
    entity_ids: list[str | None]
    inputs: dict[str, list[Any]]
    outputs: dict[str, list[Any]]
    variant: str = CHAMPION


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


class Ledger:
    """One process's pen: each process that answers requests has its own.

    Args:
        folder: The project's ledger folder.
        durability: `process` survives a kill of this process; `disk` also a power cut.
    """

    def __init__(self, folder: Path, durability: Durability = "process") -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._predictions = SegmentWriter(segment_folder(folder), PREDICTIONS, durability=durability)
        self._labels = SegmentWriter(segment_folder(folder), LABELS, durability=durability)

    def record(self, batch: PredictionBatch) -> None:
        """Keeps the predictions of one request.

        Raises:
            LedgerError: If they cannot be kept, or the lists are not of one length; nothing was kept then.
        """
        columns: dict[str, list[Any]] = {
            "timestamps": batch.timestamps,
            "entity_ids": batch.entity_ids,
            **{f"inputs.{name}": values for name, values in batch.inputs.items()},
            **{f"outputs.{name}": values for name, values in batch.outputs.items()},
        }
        _check_lengths(batch.request_id, len(batch.ids), columns)
        self._append(self._predictions, batch)

    def label(self, batch: LabelBatch) -> None:
        """Keeps the labels of one request, also those whose prediction is not known here (yet).

        Raises:
            LedgerError: If they cannot be kept, or the lists are not of one length; nothing was kept then.
        """
        _check_lengths(batch.request_id, len(batch.ids), {"labels": batch.labels})
        self._append(self._labels, batch)

    def close(self) -> None:
        """Lets go of the files, so that a reader may delete them; a later call begins new ones."""
        self._predictions.close()
        self._labels.close()

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


def new_ids(count: int) -> list[str]:
    """Ids for the rows of one request: seconds, 48 random bits and the row number, such as `6d0b5a2f83c1e09b77d4-0`.

    Later seconds sort behind earlier ones. At 1,000 requests a second, two requests share an id once in 18 years.
    """
    request = f"{int(time.time()):08x}{os.urandom(6).hex()}"
    return [f"{request}-{row}" for row in range(count)]


def _check_lengths(request_id: str, rows: int, columns: dict[str, list[Any]]) -> None:
    """Refuses a crooked batch where its maker can be found: in a table, values would slip from one row to another."""
    wrong = {name: len(values) for name, values in columns.items() if len(values) != rows}
    if wrong:
        found = ", ".join(f"{name} has {count:,}" for name, count in wrong.items())
        raise LedgerError(
            f"request {request_id}: every list must have one entry for each of its {rows:,} ids, but {found}; "
            "fill missing values with None"
        )

"""Batches of the ledger as rows of a table: decoded, put under each other, and typed.

The type of a column is the one it has in the table already, else the one the schema gives it, else the one that its
first values show. This module reads and writes no files.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import polars as pl

from components.data.feeds import text_of
from components.data.frames import HEADER
from components.data.ledger import LABELS, PREDICTIONS, read_labels, read_predictions
from components.errors import LedgerError
from components.records.rows import Schema, TargetKind

TIME = pl.Datetime("us", "UTC")
INPUT = "in_"
OUTPUT = "out_"
HASH = "hash_"

# Types of the columns that every table of that kind has; inputs and outputs come beside them.
COMMON_TYPES: dict[str, dict[str, Any]] = {
    PREDICTIONS: {
        "prediction_id": pl.String,
        "request_id": pl.String,
        "received_at": TIME,
        "event_time": TIME,
        "entity_id": pl.String,
        "model": pl.String,
        "version": pl.Int64,
        "variant": pl.String,
        "config_sha256": pl.String,
        "latency_ms": pl.Float64,
        "caller_request_id": pl.String,
        "absent": pl.List(pl.String),
    },
    # Segment and position say which of two labels of the same microsecond came later.
    LABELS: {
        "prediction_id": pl.String,
        "request_id": pl.String,
        "received_at": TIME,
        "segment": pl.String,
        "position": pl.Int64,
    },
}

# A prediction as the application got it: 0 or 1, the name of the class, or a value.
PREDICTION_TYPES: dict[TargetKind, Any] = {"binary": pl.Int64, "multiclass": pl.String, "regression": pl.Float64}

_READERS: dict[str, Callable[[bytes], Any]] = {PREDICTIONS: read_predictions, LABELS: read_labels}


def known_types(kind: str, schema: Schema | None) -> dict[str, Any]:
    """Types of the columns as far as they are known before the first row is seen."""
    types = dict(COMMON_TYPES[kind])
    if schema is None:
        return types
    if kind == LABELS:
        return types | {"label": pl.String if schema.target_kind == "multiclass" else pl.Float64}
    outputs: dict[str, Any] = {
        OUTPUT + "prediction": PREDICTION_TYPES[schema.target_kind],
        OUTPUT + "probability": pl.Float64,
        OUTPUT + "probabilities": pl.List(pl.Float64),
    }
    inputs = {INPUT + c.name: pl.Float64 if c.kind == "number" else pl.String for c in schema.features}
    return types | inputs | outputs


def extend(columns: dict[str, list[Any]], kind: str, segment: str, start: int, payloads: list[bytes]) -> None:
    """Puts the frames' rows behind those that are in the columns already.

    Args:
        columns: Column name to values; changed in place, a new column is missing (None) in the rows that were there.
        kind: `predictions` or `labels`.
        segment: Name of the segment the frames come from.
        start: Offset of the first frame in bytes.
        payloads: The frames.

    Raises:
        LedgerError: If a frame holds something else.
    """
    position = start
    for payload in payloads:
        try:
            batch = _READERS[kind](payload)
        except msgspec.DecodeError as err:
            raise LedgerError(
                f"{segment}: wanted a batch of {kind} near byte {position:,}, but found something else: {err}; "
                "compact with the release of Everfit that wrote it, or move the file out of the folder"
            ) from err
        have = len(columns["prediction_id"])
        rows = len(batch.ids)
        for name, values in _batch_columns(kind, batch, segment, position):
            columns.setdefault(name, [None] * have).extend(values)
        position += HEADER.size + len(payload)
        for values in columns.values():
            values.extend([None] * (have + rows - len(values)))


def _batch_columns(kind: str, batch: Any, segment: str, position: int) -> Iterator[tuple[str, list[Any]]]:
    """The batch as columns of the table; what is said once for the batch is repeated for each row."""
    rows = len(batch.ids)
    yield "prediction_id", batch.ids
    for name in ("request_id", "received_at"):
        yield name, [getattr(batch, name)] * rows
    if kind == LABELS:
        yield "label", batch.labels
        yield "segment", [segment] * rows
        # A frame is longer than it has rows, so positions never meet those of the next frame.
        yield "position", list(range(position, position + rows))
        return
    yield "event_time", batch.timestamps
    yield "entity_id", batch.entity_ids
    for name in ("model", "version", "variant", "config_sha256", "latency_ms", "caller_request_id"):
        yield name, [getattr(batch, name)] * rows
    yield "absent", [batch.absent or None] * rows
    for prefix, named in ((INPUT, batch.inputs), (OUTPUT, batch.outputs), (HASH, batch.hashes)):
        for name, values in named.items():
            yield prefix + name, values


def typed_frame(columns: dict[str, list[Any]], types: dict[str, Any], *, where: str) -> pl.DataFrame:
    """The columns as a table; one without a known type, and without any value to learn it from, is left out.

    Raises:
        LedgerError: If a value does not fit its column.
    """
    series: list[pl.Series] = []
    for name, values in columns.items():
        dtype = types.get(name) or _learned_type(values)
        if dtype is None:
            continue
        fitting = _as_texts(values) if dtype == pl.String else values
        try:
            series.append(pl.Series(name, fitting, dtype=dtype, strict=True))
        except (TypeError, OverflowError, pl.exceptions.PolarsError) as err:
            reason = str(err).splitlines()[0]
            raise LedgerError(
                f"{where}: column {name} must hold {dtype}, but a new row holds something else: {reason}; "
                "give the column another name in the project file, or move the ledger's folder aside to begin a new one"
            ) from err
    return pl.DataFrame(series)


def _as_texts(values: list[Any]) -> list[str | None]:
    """Texts as the training table has them, so that a category sent as `true` or 7 equals the one that was learned."""
    return [value if value is None or type(value) is str else text_of(value) for value in values]


def _learned_type(values: list[Any]) -> Any:
    """The type that holds all the values, by the kinds of those that are not missing; None if all are."""
    kinds = {type(value) for value in values} - {type(None)}
    if not kinds:
        return None
    if list in kinds:
        return pl.List(pl.Float64)
    return pl.Float64 if kinds <= {int, float} else pl.String

"""One prediction as the ledger keeps it: what was asked, what the graph saw, what it answered, and which version did.

A row stands in a segment until it is compacted, and in the table from then on. The segments are read first: a row that
moves meanwhile is then found in the table. Nothing heavy is imported until someone asks.
"""

import math
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from components.data.feeds import feeds
from components.data.ledger import PREDICTIONS, SHADOW, PredictionBatch, read_predictions, segment_folder
from components.data.segments import read_frames, segments
from components.errors import LedgerError
from components.records.rows import Schema
from components.serving.diagnosis import shown_text
from components.serving.refusals import Refused
from components.serving.rows import EPOCH

# As `components.data.batches` names the columns of the table.
INPUT, OUTPUT, HASH = "in_", "out_", "hash_"
# What is said once for all rows of a request.
FACTS = ("request_id", "caller_request_id", "model", "version", "variant", "config_sha256")
# What `components.data.ledger.new_ids` makes: 8 hexadecimal digits of seconds, 12 of chance, and the row.
ID = re.compile(r"[0-9a-f]{20}-[0-9]{1,9}")


def explain(folder: Path, name: str, schema: Schema | None) -> dict[str, Any]:
    """What GET /explain/{id} says of a prediction.

    Args:
        folder: The project's ledger folder.
        name: Id of the prediction.
        schema: The columns of the version that answers now, which tell numbers from texts; None if there is none.

    Raises:
        Refused: 404 if the ledger holds no such prediction.
        LedgerError: If the ledger cannot be read.
    """
    kept = (_in_segments(folder, name) or _in_table(folder, name)) if ID.fullmatch(name) else None
    if kept is None:
        raise Refused(
            404,
            f'wanted the id of a prediction in the ledger, found none with "{shown_text(name)}"; '
            "send an id that POST /predict answered with",
        )
    return kept | {"seen": _seen(kept["row"], {*kept["hashed"], *kept["absent"]}, schema)}


def _in_segments(folder: Path, name: str) -> dict[str, Any] | None:
    """The prediction, if it was not compacted yet, or only just."""
    request = name.rpartition("-")[0]
    needle = request.encode()
    for segment in reversed(segments(segment_folder(folder), PREDICTIONS)):
        if _ended_before(segment, request):
            continue
        try:
            payloads, _ = read_frames(segment)
        except FileNotFoundError:
            continue  # it was compacted meanwhile, so the table has it
        for payload in payloads:
            if needle not in payload:
                continue
            batch = read_predictions(payload)
            if batch.variant != SHADOW and name in batch.ids:
                return _from_batch(batch, batch.ids.index(name))
    return None


def _ended_before(segment: Path, request: str) -> bool:
    """Whether nothing was written to the segment since the second in which the request came."""
    try:
        return segment.stat().st_mtime + 1 < int(request[:8], 16)
    except FileNotFoundError:
        return True


def _from_batch(batch: PredictionBatch, row: int) -> dict[str, Any]:
    facts = {name: getattr(batch, name) for name in FACTS}
    return {
        "id": batch.ids[row],
        **facts,
        "received_at": _time(batch.received_at),
        "event_time": _time(batch.timestamps[row]),
        "entity_id": batch.entity_ids[row],
        "latency_ms": batch.latency_ms,
        "row": {name: values[row] for name, values in batch.inputs.items()},
        "hashed": {name: values[row] for name, values in batch.hashes.items()},
        "absent": batch.absent,
        "answered": {name: values[row] for name, values in batch.outputs.items()},
    }


def _in_table(folder: Path, name: str) -> dict[str, Any] | None:
    """The prediction, if it was compacted."""
    import polars as pl  # noqa: PLC0415 - heavy, and few services are ever asked
    from deltalake import DeltaTable  # noqa: PLC0415
    from deltalake.exceptions import DeltaError, TableNotFoundError  # noqa: PLC0415

    try:
        rows = pl.scan_delta(DeltaTable(folder / PREDICTIONS))
        found = rows.filter(pl.col("prediction_id") == name, pl.col("variant") != SHADOW).collect().to_dicts()
    except TableNotFoundError:
        return None
    except (DeltaError, OSError, pl.exceptions.PolarsError) as err:
        raise LedgerError(
            f"wanted the predictions in {folder}, but reading them failed: {err}; restore the folder from a backup"
        ) from err
    return _from_table(found[0]) if found else None


def _from_table(found: dict[str, Any]) -> dict[str, Any]:
    times = {name: found[name].astimezone(UTC) for name in ("received_at", "event_time")}
    hashed = {
        name.removeprefix(HASH): value for name, value in found.items() if name.startswith(HASH) and value is not None
    }
    absent = found.get("absent") or []
    inputs = {name.removeprefix(INPUT): value for name, value in found.items() if name.startswith(INPUT)}
    return {
        "id": found["prediction_id"],
        **{name: found.get(name) for name in FACTS},
        **times,
        "entity_id": found["entity_id"],
        "latency_ms": found["latency_ms"],
        "row": {name: value for name, value in inputs.items() if name not in hashed and name not in absent},
        "hashed": hashed,
        "absent": absent,
        "answered": {
            name.removeprefix(OUTPUT): value
            for name, value in found.items()
            if name.startswith(OUTPUT) and value is not None
        },
    }


def _seen(row: dict[str, Any], private: set[str], schema: Schema | None) -> dict[str, Any] | None:
    """The values as they went into the graph, a missing number as `NaN`; None if today's columns are others.

    None for a column that is hashed or absent: what it was is not known here.
    """
    if schema is None or {column.name for column in schema.features} - private != set(row):
        return None
    known = replace(schema, features=tuple(column for column in schema.features if column.name in row))
    fed = {name: values[0] for name, values in feeds({name: [value] for name, value in row.items()}, known).items()}
    return {column.name: _spelt(fed[column.name]) if column.name in fed else None for column in schema.features}


def _spelt(value: Any) -> Any:
    """A value that JSON can say."""
    return value if isinstance(value, str) else "NaN" if math.isnan(value) else float(value)


def _time(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)

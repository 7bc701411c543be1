"""Rows in, predictions out, through the graph and into the ledger that requests go through too.

Any number of rows, and any number of starts: a run that was killed goes on where it was. Nobody imports this to answer
requests: it needs polars and pandera, which read and check whole tables.
"""

import hashlib
import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from components.data.ledger import Ledger, PredictionBatch
from components.data.privacy import Privacy
from components.data.segments import Durability
from components.data.staging import Stage
from components.data.streams import Stream, batches, open_stream
from components.errors import DataError, EverfitError, NotEnoughRows
from components.records.models import ModelFiles, ModelVersion
from components.records.rows import Schema
from components.serving.feeding import Array, Fed, feed
from components.serving.keeping import batch_of
from components.serving.outputs import kind_of, write
from components.serving.parts import Progress, progress_of
from components.serving.predictor import OUTPUTS, Predictor
from components.serving.refusals import Refused

log = logging.getLogger(__name__)

# Rows read at once, and a frame of the ledger: 16,384 of 20 columns are 3 MB. The reader of the ledger makes Python
# objects of a whole frame, so larger ones would take memory there.
BATCH_ROWS = 16_384
# What a kill costs at most: a second or two of work.
PART_ROWS = 16 * BATCH_ROWS


@dataclass(frozen=True, slots=True)
class Predicted:
    """What came of a file of rows.

    Attributes:
        output: Where the predictions are.
        version: The version that answered.
        rows: How many rows it answered.
        seconds: Wall seconds it took, since it was last started.
        resumed_rows: How many of the rows an earlier run had answered before it was stopped.
    """

    output: Path
    version: ModelVersion
    rows: int
    seconds: float
    resumed_rows: int = 0


def predict_file(
    files: ModelFiles,
    source: str | Path,
    output: Path,
    *,
    ledger: Path | None,
    durability: Durability = "process",
    query: str | None = None,
    privacy: Privacy | None = None,
) -> Predicted:
    """The version's predictions for every row of a source, in the rows' order.

    Their columns are the id as the source has it and the timestamp in UTC, if they are there; `prediction`;
    `probability` of 1 (binary) or `probability_<class>` of each class (multiclass); `prediction_id`, by which labels
    find their row; `model` and `version`. Memory does not grow with the rows.

    The output, and the predictions in the ledger, appear when the last row is answered. After an error or a kill
    neither is seen, and what was done stands in the hidden folder `.<output>.parts` (and in one beside the ledger):
    called again with the same source, version and settings, it goes on there, and each row is answered and kept once.

    Args:
        files: The version that answers.
        source: Parquet file, folder of Parquet files, CSV file, folder of a Delta table, or address of a database, with
            raw rows; rows without an event time are taken to be of now. See `components.data.streams.open_stream`.
        output: The Parquet file, CSV file or Delta table to write; what is there is replaced, in a Delta table by a new
            version. See `components.serving.outputs.kind_of`.
        ledger: The project's ledger folder; None records nothing.
        durability: Of the ledger.
        query: What to ask a database: one SELECT, or the name of a table.
        privacy: What the ledger never keeps as it came; None keeps everything.

    Raises:
        SchemaMismatch: If a column is missing, or holds what the model does not take.
        NotEnoughRows: If there is no row.
        DataError: If the source cannot be read, the output is none that can be written or is being written by another,
            or a row has no finite answer.
        LedgerError: If the predictions cannot be kept.
        ModelRefused: If the graph is not the one that was registered.
        PassingFault: If a database cannot be reached.
    """
    started = time.monotonic()
    if privacy is not None:
        privacy.check(files.schema)
    kind = kind_of(output, str(source))
    stream = open_stream(source, query)
    facts = _facts(files, stream, ledger, privacy)
    with progress_of(output, facts) as (progress, given_up):
        if ledger is not None and given_up is not None:
            Stage(ledger, given_up).discard()
        stage = Stage(ledger, progress.run, durability, privacy) if ledger is not None else None
        resumed = progress.rows
        if not progress.is_whole:
            _answer(Predictor(files, max_rows=BATCH_ROWS), stream, progress, stage)
        # The output stands last: what was recorded but not handed out is a lesser evil than the other way round.
        if stage is not None:
            stage.publish()
        write(kind, output, progress.files(), run=progress.run, folder=progress.folder)
        rows = progress.rows
        progress.clear()
    seconds = time.monotonic() - started
    log.info("rows predicted source=%s rows=%d output=%s seconds=%.1f", stream.where, rows, output, seconds)
    return Predicted(output, files.version, rows, seconds, resumed)


def _facts(files: ModelFiles, stream: Stream, ledger: Path | None, privacy: Privacy | None) -> dict[str, Any]:
    """What is equal as long as the answers, and what is kept of them, are the same ones."""
    version = files.version
    hidden = (sorted(privacy.kept or ()), sorted(privacy.private.items()), privacy.key) if privacy is not None else ()
    return {
        "source": stream.fingerprint(),
        "version": [version.name, version.version, version.sha256, files.config_sha256],
        "ledger": str(ledger),
        "privacy": hashlib.sha256(repr(hidden).encode()).hexdigest(),
        "part_rows": [PART_ROWS, BATCH_ROWS],
    }


def _answer(predictor: Predictor, stream: Stream, progress: Progress, stage: Stage | None) -> None:
    """Answer what is not answered yet, part by part.

    Raises:
        NotEnoughRows: If there is no row at all.
    """
    answered = _ahead(_answered(predictor, stream, progress))
    first = next(answered, None)
    while first is not None:
        number = progress.next_part
        with ExitStack() as open_files:
            pen = open_files.enter_context(stage.part(number)) if stage is not None else None
            rows, first = _write_part(progress.file(number), first, answered, pen)
        progress.add(rows)
    if not progress.rows:
        raise NotEnoughRows(f"wanted rows to predict in {stream.where}, found none; see what made them")
    progress.end()


Answered = tuple[pa.Table, PredictionBatch]


def _write_part(
    file: Path, first: Answered, rest: Iterator[Answered], pen: Ledger | None
) -> tuple[int, Answered | None]:
    """One part's answers as a file, and in the ledger; the rows of it, and what is the first of the next part."""
    unfinished = file.with_suffix(".unfinished")
    rows = 0
    after: Answered | None = first
    try:
        with unfinished.open("wb") as target:
            with pa.ipc.new_file(target, first[0].schema) as writer:
                # One part, one schema: a database's batches have the types that their values show.
                while after is not None and rows < PART_ROWS and after[0].schema == first[0].schema:
                    table, kept = after
                    if pen is not None:
                        pen.record(kept)
                    writer.write_table(table)
                    rows += table.num_rows
                    after = next(rest, None)
            target.flush()
            os.fsync(target.fileno())
        unfinished.replace(file)
    except (OSError, pa.ArrowException) as err:
        if isinstance(err, EverfitError):  # a passing fault is an OSError too
            raise
        raise DataError(
            f"wanted to write predictions to {file.parent}, but the system said: {err}; make room there, and run it "
            "again: it goes on where it was"
        ) from err
    return rows, after


def _answered(predictor: Predictor, stream: Stream, progress: Progress) -> Iterator[Answered]:
    """What is not answered yet, batch by batch: as the output has it, and as the ledger keeps it."""
    schema = predictor.schema
    pieces = stream.pieces(progress.folder)
    names = _wanted(list(dict.fromkeys(name for piece in pieces for name in (*piece.names, *piece.beside))), schema)
    texts = frozenset(column.name for column in schema.categories)
    row = progress.rows
    for table in batches(stream, pieces, names, BATCH_ROWS, row, texts):
        if not table.num_rows:
            continue
        where = f"{stream.where}, rows {row + 1:,} to {row + table.num_rows:,}"
        received_us, started = time.time_ns() // 1000, time.perf_counter()
        fed = feed(table, schema, now_us=progress.started_us, where=where)
        try:
            answers = predictor.answer(fed.arrays)
        except Refused as err:
            raise DataError(f"{where}: of these, {err}; mend the values, or take the row out") from err
        latency_ms = (time.perf_counter() - started) * 1000
        request_id = progress.request_id(row)
        kept = _kept(predictor, fed, answers, request_id, received_us, latency_ms)
        yield _output(table, fed, answers, predictor, request_id), kept
        row += table.num_rows


def _ahead(answered: Iterator[Answered]) -> Iterator[Answered]:
    """The same; each batch is answered in a thread while the one before is written."""
    with ThreadPoolExecutor(1, thread_name_prefix="everfit-batch") as thread:
        coming = thread.submit(next, answered, None)
        while (one := coming.result()) is not None:
            coming = thread.submit(next, answered, None)
            yield one


def _wanted(there: list[str], schema: Schema) -> list[str]:
    """The columns to read; all of them where one is missing, so that the message can name what is there."""
    features = {column.name for column in schema.features}
    known = features | {schema.timestamp, schema.id}
    return [name for name in there if name in known] if features <= set(there) else there


def _kept(
    predictor: Predictor, fed: Fed, answers: list[Array], request_id: str, received_us: int, latency_ms: float
) -> PredictionBatch:
    """The rows with their answers as the ledger keeps them."""
    schema = predictor.schema
    named: dict[str, Any] = dict(zip(OUTPUTS[schema.target_kind], answers, strict=True))
    if schema.target_kind == "multiclass":
        named["prediction"] = np.array(schema.classes, object)[named["prediction"]]
    return batch_of(predictor, fed.rows, named, request_id, ids=[], received_us=received_us, latency_ms=latency_ms)


def _output(table: pa.Table, fed: Fed, answers: list[Array], predictor: Predictor, request_id: str) -> pa.Table:
    """The answers as the output has them."""
    schema, version, rows = predictor.schema, predictor.version, table.num_rows
    columns: dict[str, Any] = {}
    if schema.id is not None and schema.id in table.column_names:
        columns[schema.id] = table[schema.id]
    if schema.timestamp in table.column_names:
        columns[schema.timestamp] = pa.array(fed.rows.timestamps).cast(pa.timestamp("us", "UTC"))
    prediction, *rest = answers
    if schema.target_kind == "multiclass":
        columns["prediction"] = pa.array(schema.classes, pa.string()).take(pa.array(prediction))
        columns |= {
            f"probability_{name}": pa.array(rest[0][:, place], pa.float64())
            for place, name in enumerate(schema.classes)
        }
    else:
        columns["prediction"] = pa.array(prediction, pa.int64() if rest else pa.float64())
        if rest:
            columns["probability"] = pa.array(rest[0], pa.float64())
    numbers = pa.array(np.arange(rows)).cast(pa.string())
    columns["prediction_id"] = pa.compute.binary_join_element_wise(pa.scalar(request_id), numbers, "-")
    columns["model"] = pa.repeat(version.name, rows)
    columns["version"] = pa.repeat(version.version, rows)
    return pa.table(columns)

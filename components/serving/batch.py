"""A file of rows in, a file of predictions out, through the predictor and into the ledger that requests go through too.

Nobody imports this to answer requests: it needs polars and pandera, which read and check whole tables.
"""

import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.dataset
from pyarrow import parquet

from components.data.kinds import TIME, typed_as
from components.data.ledger import Ledger, PredictionBatch
from components.data.schema import check_frame
from components.data.segments import Durability
from components.data.staging import staged
from components.errors import DataError, NotEnoughRows, SchemaMismatch
from components.records.models import ModelFiles, ModelVersion
from components.records.rows import Schema
from components.serving.keeping import to_keep
from components.serving.predictor import Predictor
from components.serving.refusals import Refused
from components.serving.rows import EARLIEST_US, LATEST_US, Rows

log = logging.getLogger(__name__)

# As Python lists, 8,192 rows of 20 columns are some 10 MB; larger batches were no faster.
BATCH_ROWS = 8_192
PREDICTION_TYPES: dict[str, Any] = {"binary": pl.Int64, "multiclass": pl.String, "regression": pl.Float64}


@dataclass(frozen=True, slots=True)
class Predicted:
    """What came of a file of rows.

    Attributes:
        output: The Parquet file with the predictions.
        version: The version that answered.
        rows: How many rows it answered.
        seconds: Wall seconds it took.
    """

    output: Path
    version: ModelVersion
    rows: int
    seconds: float


def predict_file(
    files: ModelFiles, source: Path, output: Path, *, ledger: Path | None, durability: Durability = "process"
) -> Predicted:
    """The version's predictions for every row of a file, as a Parquet file in the rows' order.

    Its columns are the id as the source has it and the timestamp in UTC, if they are there; `prediction`;
    `probability` of 1 (binary) or `probability_<class>` of each class (multiclass); `prediction_id`, by which labels
    find their row; `model` and `version`. Memory does not grow with the file. The output, and the predictions in the
    ledger, appear when the last row is answered: after an error there is neither.

    Args:
        files: The version that answers.
        source: Parquet file, folder of Parquet files, or CSV file with raw rows; rows without an event time are taken
            to be of now.
        output: The Parquet file to write; one that is there is replaced.
        ledger: The project's ledger folder; None records nothing.
        durability: Of the ledger.

    Raises:
        SchemaMismatch: If a column is missing, or holds what the model does not take.
        NotEnoughRows: If there is no row.
        DataError: If the source cannot be read, the output is none that can be written, or a row has no finite answer.
        LedgerError: If the predictions cannot be kept.
        ModelRefused: If the graph is not the one that was registered.
    """
    started = time.monotonic()
    _check_paths(source, output)
    predictor = Predictor(files, max_rows=BATCH_ROWS)
    rows = 0
    # The output stands last: what was recorded but not handed out is a lesser evil than the other way round.
    with _appearing(output) as unfinished, _pen(ledger, durability) as pen, _Writer(unfinished, files.schema) as writer:
        for frame in _frames(source, files.schema):
            kept = _predict(predictor, frame, where=f"{source}, rows {rows + 1:,} to {rows + frame.height:,}")
            if pen is not None:
                pen.record(kept)
            writer.write(frame, kept)
            rows += frame.height
        if not rows:
            raise NotEnoughRows(f"wanted rows to predict in {source}, found none; see what made the file")
    seconds = time.monotonic() - started
    log.info("file predicted path=%s rows=%d output=%s seconds=%.1f", source, rows, output, seconds)
    return Predicted(output, files.version, rows, seconds)


def _predict(predictor: Predictor, frame: pl.DataFrame, *, where: str) -> PredictionBatch:
    """The answers to one batch of raw rows."""
    received_us, started = time.time_ns() // 1000, time.perf_counter()
    rows = _rows(frame, predictor.schema, received_us, where)
    try:
        outputs = predictor.run(rows.columns)
    except Refused as err:
        raise DataError(f"{where}: of these, {err}; mend the values, or take the row out") from err
    latency_ms = (time.perf_counter() - started) * 1000
    return to_keep(predictor, rows, outputs, received_us=received_us, latency_ms=latency_ms)


def _rows(frame: pl.DataFrame, schema: Schema, now_us: int, where: str) -> Rows:
    """Raw rows, checked, as the reader of requests makes them."""
    typed = typed_as(frame, schema, where)
    if schema.timestamp not in typed.columns:
        typed = typed.with_columns(pl.lit(now_us).cast(TIME).alias(schema.timestamp))
    check_frame(typed, schema, where=where)
    times = typed[schema.timestamp].dt.epoch("us")
    wrong = typed[schema.timestamp].filter((times < EARLIEST_US) | (times >= LATEST_US))
    if wrong.len():
        raise SchemaMismatch(
            f"{where}: column {schema.timestamp!r} must hold event times from 1970 to 2099, but {wrong.len():,} of "
            f"{typed.height:,} rows hold others ({wrong[0]}); mend what made the file"
        )
    columns = {column.name: typed[column.name].to_list() for column in schema.features}
    entities = typed[schema.id].to_list() if schema.id in typed.columns else [None] * typed.height
    return Rows(columns, times.to_list(), entities)


class _Writer:
    """Writes predictions batch by batch; all with the types of the first."""

    def __init__(self, file: Path, schema: Schema) -> None:
        self._file = file
        self._schema = schema
        self._writer: parquet.ParquetWriter | None = None

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *raised: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, frame: pl.DataFrame, kept: PredictionBatch) -> None:
        """Append the answers to a batch of raw rows."""
        table = pl.DataFrame([*self._beside(frame, kept), *self._answers(kept)]).to_arrow()
        if self._writer is None:
            self._writer = parquet.ParquetWriter(self._file, table.schema)
        self._writer.write_table(table.cast(self._writer.schema))

    def _beside(self, frame: pl.DataFrame, kept: PredictionBatch) -> Iterator[pl.Series]:
        if self._schema.id in frame.columns:
            yield frame[self._schema.id]
        if self._schema.timestamp in frame.columns:
            yield pl.Series(self._schema.timestamp, kept.timestamps, dtype=TIME)

    def _answers(self, kept: PredictionBatch) -> Iterator[pl.Series]:
        yield pl.Series("prediction", kept.outputs["prediction"], dtype=PREDICTION_TYPES[self._schema.target_kind])
        if "probability" in kept.outputs:
            yield pl.Series("probability", kept.outputs["probability"], dtype=pl.Float64)
        for place, name in enumerate(self._schema.classes if "probabilities" in kept.outputs else ()):
            shares = [row[place] for row in kept.outputs["probabilities"]]
            yield pl.Series(f"probability_{name}", shares, dtype=pl.Float64)
        yield pl.Series("prediction_id", kept.ids, dtype=pl.String)
        yield pl.Series("model", [kept.model] * len(kept.ids), dtype=pl.String)
        yield pl.Series("version", [kept.version] * len(kept.ids), dtype=pl.Int64)


def _check_paths(source: Path, output: Path) -> None:
    if not source.exists():
        raise DataError(f"wanted rows to predict at {source}, found no such file; correct the path")
    if output.suffix != ".parquet" or output.is_dir() or output.resolve() == source.resolve():
        raise DataError(
            f"wanted a Parquet file of its own to write the predictions to, found {output}; name one that ends in "
            ".parquet"
        )


@contextmanager
def _appearing(output: Path) -> Iterator[Path]:
    """A file to write to, which takes the output's name once the block has ended well."""
    output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        yield unfinished
        unfinished.replace(output)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _pen(ledger: Path | None, durability: Durability) -> Iterator[Ledger | None]:
    with staged(ledger, durability) if ledger is not None else nullcontext() as pen:
        yield pen


def _frames(source: Path, schema: Schema) -> Iterator[pl.DataFrame]:
    """The source's rows in batches, with the types that the source gives them.

    Raises:
        DataError: If the source cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="everfit-predict-") as scratch:
        try:
            table = _as_parquet(source, Path(scratch)) if source.suffix.lower() == ".csv" else source
            dataset = pyarrow.dataset.dataset(table, format="parquet")
            names = _wanted(dataset.schema.names, schema)
            for file in dataset.files:
                with parquet.ParquetFile(file) as opened:
                    for batch in opened.iter_batches(BATCH_ROWS, columns=names):
                        yield pl.DataFrame(pa.Table.from_batches([batch]))
        except (OSError, pa.ArrowException, pl.exceptions.PolarsError) as err:
            found = " ".join(str(err).split())
            raise DataError(
                f"wanted a CSV file, a Parquet file or a folder of them at {source}, but reading it failed: {found}; "
                "correct the path, or what made the file"
            ) from err


def _wanted(there: list[str], schema: Schema) -> list[str]:
    """The columns to read; all of them where one is missing, so that the message can name what is there."""
    features = {column.name for column in schema.features}
    known = features | {schema.timestamp, schema.id}
    return [name for name in there if name in known] if features <= set(there) else there


def _as_parquet(source: Path, scratch: Path) -> Path:
    """A CSV file as Parquet, streamed; types are learned from the whole file, as they are for a training table.

    Times stay text, which is read as a time where a time is wanted: looking for times in every text takes ten times as
    long as all the rest.
    """
    pl.scan_csv(source, infer_schema_length=None).sink_parquet(scratch / "rows.parquet")
    return scratch / "rows.parquet"

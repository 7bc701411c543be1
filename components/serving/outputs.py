"""Parts of answers as what was asked for: a Parquet file, a CSV file, or a version of a Delta table.

Each appears in one step, and writing it again gives the same.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import DeltaError
from pyarrow import parquet

from components.errors import DataError

PARQUET, CSV, DELTA = "Parquet", "CSV", "Delta"
CSV_TIME = "%Y-%m-%dT%H:%M:%S%.6fZ"
# Ids of one request differ in their last digits only: 2.6 MB a 500,000 rows, where the usual 8.1 took twice as long.
ENCODINGS = {"prediction_id": "DELTA_BYTE_ARRAY"}


def kind_of(output: Path, source: str) -> str:
    """What is to be written there.

    Args:
        output: A name that ends in `.parquet` or `.csv`, or the folder of a Delta table: there already, or a new name
            without an ending or with `.delta`.
        source: Where the rows come from.

    Raises:
        DataError: If it is none of them, or the source itself.
    """
    kind = {".parquet": PARQUET, ".csv": CSV, ".delta": DELTA, "": DELTA}.get(output.suffix.lower())
    is_table = (output / "_delta_log").is_dir()
    is_folder = output.is_dir() and any(output.iterdir())
    if is_table:
        kind = DELTA
    if kind is None or (is_folder and not is_table) or (output.is_file() and kind == DELTA) or _same(output, source):
        raise DataError(
            f"wanted a Parquet file, a CSV file or a Delta table of its own to write the predictions to, found "
            f"{output}; name one that ends in .parquet, .csv or .delta"
        )
    return kind


def write(kind: str, output: Path, parts: list[Path], *, run: str, folder: Path) -> None:
    """The parts as one; what stood there is replaced, of a Delta table by a new version.

    Args:
        kind: What to write.
        output: Where.
        parts: Arrow files with the answers, in order; at least one.
        run: Name of the run, which a Delta table remembers: a run is never written twice.
        folder: Folder beside the output for what is not finished.

    Raises:
        DataError: If it cannot be written.
    """
    try:
        schema = pa.unify_schemas([_schema(part) for part in parts], promote_options="permissive")
        if kind == DELTA:
            _write_delta(output, parts, schema, run)
            return
        unfinished = folder / f"output.{os.getpid()}"
        (_write_parquet if kind == PARQUET else _write_csv)(unfinished, parts, schema)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(output)
    except (OSError, pa.ArrowException, pl.exceptions.PolarsError, DeltaError) as err:
        found = " ".join(str(err).split())
        raise DataError(
            f"wanted to write the predictions to {output}, but that failed: {found}; make room there, or make it "
            "writable, and run it again: every row is answered already"
        ) from err


def _same(output: Path, source: str) -> bool:
    return output.resolve() == Path(source).resolve()


def _write_parquet(file: Path, parts: list[Path], schema: pa.Schema) -> None:
    words = [one.name for one in schema if one.type == pa.string() and one.name not in ENCODINGS]
    options: Any = {"compression": "zstd", "use_dictionary": words, "column_encoding": ENCODINGS}
    with parquet.ParquetWriter(file, schema, **options) as writer:
        for table in _tables(parts, schema):
            writer.write_table(table)


def _write_csv(file: Path, parts: list[Path], schema: pa.Schema) -> None:
    with file.open("wb") as stream:
        for place, table in enumerate(_tables(parts, schema)):
            frame = pl.DataFrame(pl.from_arrow(table))
            frame.write_csv(stream, include_header=not place, datetime_format=CSV_TIME)


def _write_delta(folder: Path, parts: list[Path], schema: pa.Schema, run: str) -> None:
    application = f"everfit-predict-{run}"
    if DeltaTable.is_deltatable(str(folder)) and DeltaTable(folder).transaction_version(application) is not None:
        return
    batches = (batch for table in _tables(parts, schema) for batch in table.to_batches())
    write_deltalake(
        folder,
        pa.RecordBatchReader.from_batches(schema, batches),
        mode="overwrite",
        schema_mode="overwrite",
        commit_properties=CommitProperties(app_transactions=[Transaction(application, 1)]),
    )


def _schema(part: Path) -> pa.Schema:
    with pa.OSFile(str(part)) as file, pa.ipc.open_file(file) as reader:
        return reader.schema


def _tables(parts: list[Path], schema: pa.Schema) -> Iterator[pa.Table]:
    """The parts as tables, one at a time in memory."""
    for part in parts:
        with pa.OSFile(str(part)) as file, pa.ipc.open_file(file) as reader:
            yield reader.read_all().cast(schema)

"""From an Arrow stream or a Parquet file in the body of POST /predict to columns, without a Python object a number.

The same rows are refused as in JSON, with the same words. What a body holds is not trusted: types are looked at before
values, values are validated before they are touched, and what grows when it is unpacked is cut off.
"""

import difflib
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

from components.records.rows import Column, Schema
from components.serving.bodies import ARROW, PARQUET
from components.serving.diagnosis import MAX_PROBLEMS, listed, shown, shown_text, too_many, wanted
from components.serving.refusals import Problem, Refused
from components.serving.rows import EARLIEST_US, LATEST_US, Rows

NAMES = {ARROW: "an Arrow stream", PARQUET: "a Parquet file"}

# What is raised at bytes that are no Arrow: Arrow's own errors, and the plain ones that its bindings raise instead.
BROKEN = (pa.ArrowException, ValueError, OSError, OverflowError, MemoryError, KeyError)
# Rows unpacked at a time from a Parquet file, so that one that grows is noticed soon.
PARQUET_ROWS = 4096
# Microseconds in one unit of a time; nanoseconds are divided instead.
UNIT_US = {"s": 1_000_000, "ms": 1_000, "us": 1}

Array = npt.NDArray[Any]


def read_bulk(body: bytes, kind: str, schema: Schema, *, max_rows: int, max_bytes: int, now_us: int) -> Rows:
    """The rows of one request that came as a table.

    Args:
        body: The bytes.
        kind: Content type: `ARROW` or `PARQUET`.
        schema: What a row looks like.
        max_rows: Largest number of rows in one request.
        max_bytes: Largest size of the rows once they are unpacked.
        now_us: Event time of rows that bring none, microseconds since 1970 (UTC).

    Raises:
        Refused: 400 if the bytes are no such table, 413 if it unpacks to too much, 422 with the problems if the rows
            are not what the model takes.
    """
    try:
        table = _table(body, kind, schema, max_rows, max_bytes)
    except BROKEN as err:
        if isinstance(err, Refused):
            raise
        reason = shown_text(next(iter(str(err).splitlines()), type(err).__name__))
        raise Refused(400, f"wanted {NAMES[kind]}, found bytes that are none: {reason}; write it again") from err
    return _rows(table, schema, now_us)


def _table(body: bytes, kind: str, schema: Schema, max_rows: int, max_bytes: int) -> pa.Table:
    """The request's table, whose bytes are valid and whose columns have the right names and types."""
    if kind == ARROW:
        with pa.ipc.open_stream(pa.py_buffer(body)) as stream:
            return _gathered(stream, stream.schema, schema, max_rows, max_bytes)
    metadata = parquet.read_metadata(pa.BufferReader(body))
    _check_columns(metadata.schema.to_arrow_schema(), schema)
    _check_size(metadata.num_rows, _unpacked(metadata), max_rows, max_bytes)
    # Texts stay in dictionaries: a text of a megabyte that each row repeats would be gigabytes otherwise.
    texts = [column.name for column in schema.categories] + ([schema.id] if schema.id else [])
    there = [name for name in texts if name in metadata.schema.names]
    with parquet.ParquetFile(pa.BufferReader(body), metadata=metadata, read_dictionary=there) as file:
        return _gathered(file.iter_batches(PARQUET_ROWS), file.schema_arrow, schema, max_rows, max_bytes)


def _unpacked(metadata: Any) -> int:
    """Bytes of a Parquet file's pages when they are decompressed, as the file says."""
    return sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))


def _gathered(batches: Any, there: pa.Schema, schema: Schema, max_rows: int, max_bytes: int) -> pa.Table:
    _check_columns(there, schema)
    kept: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        # Arrow takes offsets and indices as they come; following a wrong one ends this process, and even asking for
        # the size of a column follows them (seen: one changed byte in a stream of 900).
        batch.validate(full=True)
        rows += batch.num_rows
        size += batch.nbytes
        _check_size(rows, size, max_rows, max_bytes)
        kept.append(batch)
    if not rows:
        raise Refused(422, "wanted at least one row, found an empty table")
    table = pa.Table.from_batches(kept)
    _check_size(rows, sum(_text_bytes(chunk) for column in table.columns for chunk in column.chunks), rows, max_bytes)
    return table


def _check_size(rows: int, size: int, max_rows: int, max_bytes: int) -> None:
    if rows > max_rows:
        raise Refused(422, f"wanted at most {max_rows} rows, found {rows} or more; send them in several requests")
    if size > max_bytes:
        raise Refused(
            413,
            f"wanted at most {max_bytes / 1e6:g} MB of rows, found {size / 1e6:.1f} MB once they are unpacked; "
            "send fewer rows at a time, or raise serving.max_body_mb in the project file",
        )


def _text_bytes(chunk: pa.Array) -> int:
    """Bytes of all the texts of a column when each row has its own."""
    if pa.types.is_dictionary(chunk.type):
        lengths = np.asarray(_lengths(chunk.dictionary), np.int64)
        indices = chunk.indices.drop_null().to_numpy(zero_copy_only=False)
        return int(lengths[indices].sum()) if len(indices) else 0
    return int(_lengths(chunk).sum()) if _is_text(chunk.type) else 0


def _lengths(texts: pa.Array) -> Array:
    """Bytes of each text; 0 where it is missing."""
    if not len(texts):
        return np.zeros(0, np.int64)
    if texts.type == pa.string_view():
        # Sixteen bytes a view; the first four are its length. Many views may share one long text.
        views = np.frombuffer(texts.buffers()[1], np.int32)[4 * texts.offset :][: 4 * len(texts) : 4].astype(np.int64)
        return views if not texts.null_count else np.where(texts.is_valid().to_numpy(zero_copy_only=False), views, 0)
    width = np.int64 if texts.type == pa.large_string() else np.int32
    offsets = np.frombuffer(texts.buffers()[1], width)[texts.offset : texts.offset + len(texts) + 1]
    return np.diff(offsets).astype(np.int64)


def _check_columns(there: pa.Schema, schema: Schema) -> None:
    problems = tuple(islice(_column_problems(there, schema), MAX_PROBLEMS + 1))
    if problems:
        raise too_many(problems)


def _column_problems(there: pa.Schema, schema: Schema) -> Iterator[Problem]:
    """What is wrong with columns as a whole, whatever their rows hold."""
    known = {column.name: column for column in schema.features}
    beside = [schema.timestamp, *([schema.id] if schema.id else [])]
    for name in dict.fromkeys(there.names):
        fields = [there.field(place) for place in there.get_all_field_indices(name)]
        if name not in known and name not in beside:
            yield Problem(
                None, shown_text(name), _no_such(name, [*known, *beside], schema), shown_text(str(fields[0].type))
            )
        elif len(fields) > 1:
            yield Problem(None, name, "the column once", f"it {len(fields)} times")
        elif wants := _unlike(fields[0].type, name, known.get(name), schema):
            yield Problem(None, name, wants, shown_text(str(fields[0].type)))
    names = set(there.names)
    for column in schema.features:
        if column.name not in names and not column.nullable:
            yield Problem(None, column.name, wanted(column), "nothing")


def _no_such(name: str, known: list[str], schema: Schema) -> str:
    if name == schema.target:
        return "no such column: it is what the model predicts"
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return (
        f"no such column; did you mean '{nearest[0]}'?"
        if nearest
        else f"no such column; the model takes {listed(known)}"
    )


def _unlike(kind: pa.DataType, name: str, column: Column | None, schema: Schema) -> str:
    """What the type of a column should be, in words; empty if it is that."""
    if pa.types.is_null(kind):
        return ""
    if column is None and name == schema.timestamp:
        return "" if pa.types.is_timestamp(kind) and kind.tz is not None else "a timestamp with its zone"
    if column is None:
        return "" if _is_word(kind) or pa.types.is_integer(kind) else "text, a whole number or null"
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return "" if (is_number if column.kind == "number" else _is_word(kind)) else wanted(column)


def _is_word(kind: pa.DataType) -> bool:
    return _is_text(kind.value_type if pa.types.is_dictionary(kind) else kind)


def _is_text(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.large_string(), pa.string_view())


def _rows(table: pa.Table, schema: Schema, now_us: int) -> Rows:
    """The table as columns, if every value is one that the model takes."""
    problems: list[Problem] = []
    columns: dict[str, Any] = {}
    there = set(table.column_names)
    for column in schema.features:
        if column.name not in there:
            columns[column.name] = [None] * table.num_rows
        elif column.kind == "number":
            columns[column.name], missing = _numbers(table[column.name])
            problems += _wrong_numbers(column, columns[column.name], missing)
        else:
            columns[column.name] = _words(table[column.name])
            problems += _wrong_texts(column, columns[column.name])
    timestamps, late = _times(table, schema, now_us)
    if problems or late:
        raise too_many(tuple([*problems, *late][: MAX_PROBLEMS + 1]))
    entities = _words(table[schema.id]) if schema.id in table.column_names else [None] * table.num_rows
    return Rows(columns, timestamps, [None if one is None else str(one) for one in entities])


def _numbers(column: pa.ChunkedArray) -> tuple[Array, Array | None]:
    """Numbers as float64, NaN where one is missing; and where that is, unless none is."""
    values = np.asarray(column.to_numpy(), np.float64)
    return values, column.is_null().to_numpy() if column.null_count else None


def _wrong_numbers(column: Column, values: Array, missing: Array | None) -> Iterator[Problem]:
    finite = np.isfinite(values)
    if finite.all():
        return
    for row in np.flatnonzero(~finite):
        is_missing = missing is not None and missing[row]
        if not (is_missing and column.nullable):
            yield Problem(int(row), column.name, wanted(column), shown(None if is_missing else float(values[row])))


def _wrong_texts(column: Column, values: list[Any]) -> Iterator[Problem]:
    if not column.nullable and None in values:
        rows = (row for row, value in enumerate(values) if value is None)
        yield from (Problem(row, column.name, wanted(column), "null") for row in rows)


def _words(column: pa.ChunkedArray) -> list[Any]:
    """Texts, or whole numbers, as Python has them; rows that share a text share its object."""
    values: list[Any] = []
    for chunk in column.chunks:
        if pa.types.is_dictionary(chunk.type):
            words = [*chunk.dictionary.to_pylist(), None]
            indices = chunk.indices.fill_null(len(words) - 1) if chunk.indices.null_count else chunk.indices
            values += [words[index] for index in indices.to_numpy(zero_copy_only=False).tolist()]
        else:
            values += chunk.to_pylist()
    return values


def _times(table: pa.Table, schema: Schema, now_us: int) -> tuple[Any, list[Problem]]:
    """Event times in microseconds since 1970 (UTC), and those that cannot be true."""
    name = schema.timestamp
    if name not in table.column_names or pa.types.is_null(table[name].type):
        return [now_us] * table.num_rows, []
    column = table[name]
    values = column.cast(pa.int64()).to_numpy()
    if column.null_count:
        values = column.cast(pa.int64()).fill_null(0).to_numpy()
    factor = UNIT_US.get(column.type.unit)
    low, high = (EARLIEST_US, LATEST_US) if factor is None else (EARLIEST_US // factor, LATEST_US // factor)
    wrong = (values < low) | (values >= (high * 1000 if factor is None else high))
    wants = "a time with its zone between 1970 and 2099, such as 2026-01-31T12:00:00Z"
    found = f"a {column.type} of "
    problems = [Problem(int(row), name, wants, f"{found}{values[row]}") for row in np.flatnonzero(wrong)[:MAX_PROBLEMS]]
    micros = values // 1000 if factor is None else values * factor
    if column.null_count:
        micros = np.where(column.is_null().to_numpy(), now_us, micros)
    return micros, problems

"""From a table of raw rows to what the graph is fed and what the ledger keeps, without a Python object a number.

What is plainly right goes this way; anything else goes once more through `components.data.kinds` and
`components.data.schema`, which read what can be read and say what is wrong with the rest.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from components.data.kinds import TIME, typed_as
from components.data.schema import check_frame
from components.errors import SchemaMismatch
from components.records.rows import Column, Schema
from components.serving.rows import EARLIEST_US, LATEST_US, Rows

Array = npt.NDArray[Any]

# Units of a time in one microsecond, or microseconds in one unit.
FINER, COARSER = {"ns": 1_000}, {"us": 1, "ms": 1_000, "s": 1_000_000}


@dataclass(frozen=True, slots=True)
class Fed:
    """Raw rows, checked.

    Attributes:
        arrays: The features as the graph takes them; see `components.data.feeds.feeds`.
        rows: The same as the ledger keeps them.
    """

    arrays: dict[str, Array]
    rows: Rows


class _Odd(Exception):
    """A column is not plainly right; never leaves this file."""


def feed(table: pa.Table, schema: Schema, *, now_us: int, where: str) -> Fed:
    """Raw rows as arrays, if every value is one that the model takes.

    Args:
        table: At least one row.
        schema: What a row looks like.
        now_us: Event time of rows that bring none, microseconds since 1970 (UTC).
        where: What the rows are called in a message.

    Raises:
        SchemaMismatch: If a column is missing, or holds what the model does not take.
    """
    try:
        return _plain(table, schema, now_us)
    except _Odd:
        return _plain(_mended(table, schema, where), schema, now_us)


def _plain(table: pa.Table, schema: Schema, now_us: int) -> Fed:
    arrays: dict[str, Array] = {}
    kept: dict[str, Any] = {}
    for column in schema.features:
        values = _column(table, column.name)
        if column.kind == "number":
            arrays[column.name] = kept[column.name] = _numbers(values, column)
        else:
            arrays[column.name], kept[column.name] = _texts(values, column)
    entities = _entities(table, schema)
    return Fed(arrays, Rows(kept, _times(table, schema, now_us), entities))


def _mended(table: pa.Table, schema: Schema, where: str) -> pa.Table:
    """The same rows with each column in its type.

    Raises:
        SchemaMismatch: If one cannot be.
    """
    typed = typed_as(pl.DataFrame(pl.from_arrow(table)), schema, where)
    has_times = schema.timestamp in typed.columns
    check_frame(
        typed if has_times else typed.with_columns(pl.lit(0).cast(TIME).alias(schema.timestamp)), schema, where=where
    )
    if has_times:
        moments = typed[schema.timestamp]
        micros = moments.dt.epoch("us")
        wrong = moments.filter((micros < EARLIEST_US) | (micros >= LATEST_US))
        if wrong.len():
            raise SchemaMismatch(
                f"{where}: column {schema.timestamp!r} must hold event times from 1970 to 2099, but {wrong.len():,} of "
                f"{typed.height:,} rows hold others ({wrong[0]}); mend what made the file"
            )
    return typed.to_arrow()


def _column(table: pa.Table, name: str) -> pa.Array:
    if name not in table.column_names:
        raise _Odd
    column = table[name]
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _numbers(values: pa.Array, column: Column) -> Array:
    """Numbers as float64, NaN where one is missing."""
    if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
        raise _Odd
    numbers = np.asarray(values.to_numpy(zero_copy_only=False), np.float64)
    if not np.isfinite(numbers).all() and (not column.nullable or np.isinf(numbers).any()):
        raise _Odd
    return numbers


def _texts(values: pa.Array, column: Column) -> tuple[Array, Array]:
    """Texts as objects: "" where one is missing for the graph, None there for the ledger; one object a word."""
    coded = _coded(values)
    words = coded.dictionary.to_pylist()
    indices = coded.indices.fill_null(len(words)) if coded.indices.null_count else coded.indices
    places = indices.to_numpy(zero_copy_only=False)
    fed, kept = np.empty(len(words) + 1, object), np.empty(len(words) + 1, object)
    fed[:] = [word or "" for word in words] + [""]
    kept[:] = [word or None for word in words] + [None]
    taken = kept[places]
    if not column.nullable and (coded.indices.null_count or (None in kept[:-1] and None in taken.tolist())):
        raise _Odd
    return fed[places], taken


def _coded(values: pa.Array) -> pa.DictionaryArray:
    """Texts as places in a dictionary that is no longer than they are."""
    if pa.types.is_dictionary(values.type) and len(values.dictionary) > len(values):
        values = values.dictionary_decode()
    if pa.types.is_dictionary(values.type):
        if not _is_text(values.type.value_type):
            raise _Odd
        return values
    if not _is_text(values.type):
        raise _Odd
    return (values.cast(pa.large_string()) if values.type == pa.string_view() else values).dictionary_encode()


def _is_text(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.large_string(), pa.string_view())


def _times(table: pa.Table, schema: Schema, now_us: int) -> Array:
    """Event times in microseconds since 1970 (UTC)."""
    if schema.timestamp not in table.column_names:
        return np.full(table.num_rows, now_us, np.int64)
    values = _column(table, schema.timestamp)
    if not pa.types.is_timestamp(values.type) or values.type.tz is None or values.null_count:
        raise _Odd
    units: Array = values.cast(pa.int64()).to_numpy()
    unit = values.type.unit
    if unit in COARSER and (units.max() >= LATEST_US // COARSER[unit] or units.min() < 0):
        raise _Odd  # before it is multiplied, which could run over
    micros: Array = units // FINER[unit] if unit in FINER else units * COARSER[unit]
    if micros.min() < EARLIEST_US or micros.max() >= LATEST_US:
        raise _Odd
    return micros


def _entities(table: pa.Table, schema: Schema) -> list[str | None]:
    """The application's own ids as text, None where one is missing."""
    if schema.id is None or schema.id not in table.column_names:
        return [None] * table.num_rows
    values = _column(table, schema.id)
    if pa.types.is_integer(values.type):
        return values.cast(pa.string()).to_pylist()
    if not _is_text(values.type):
        raise _Odd
    return [text or None for text in values.to_pylist()]

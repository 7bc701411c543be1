"""Gives each column the one type it has in our tables, whatever the source called it.

Event times are UTC, ids and categories text, numbers float64, and missing is null: not NaN, not "". Rows that come back
from the ledger are typed the same way, so they fit under the source's.
"""

from collections.abc import Callable
from typing import Any

import polars as pl

from components.data.feeds import text_of
from components.errors import SchemaMismatch
from components.records.rows import ColumnKind, Schema
from components.settings.project import DataSettings

TIME = pl.Datetime("us", "UTC")


class _Unfit(Exception):
    """What is wrong with one column; never leaves this file."""


def typed(frame: pl.DataFrame, data: DataSettings, where: str) -> pl.DataFrame:
    """The frame with each column in its type; columns keep their order.

    Args:
        frame: Rows of the source, without the columns under `drop`.
        data: The project's data settings.
        where: What the frame is called in a message.

    Raises:
        SchemaMismatch: If columns are absent or cannot be read as what they must be; the message lists all of them.
    """
    roles: dict[str, Callable[[pl.Series], pl.Series]] = {
        data.timestamp: _time,
        data.target.column: {"binary": _binary, "multiclass": _text, "regression": _number}[data.target.kind],
    }
    if data.id is not None:
        roles[data.id] = _text
    mistakes = [f"column {name!r} is wanted, but not there" for name in roles if name not in frame.columns]
    columns = []
    for series in frame:
        read = roles.get(series.name) or _reader(series, data)
        try:
            columns.append(read(series))
        except _Unfit as err:
            mistakes.append(f"column {series.name!r} {err}")
    if mistakes:
        raise SchemaMismatch(f"{where}: " + "; ".join(mistakes) + "; mend the source, or data in the project file")
    return pl.DataFrame(columns)


def typed_as(frame: pl.DataFrame, schema: Schema, where: str) -> pl.DataFrame:
    """Rows that a model is asked, with each column in the type that the model's schema gives it.

    Args:
        frame: Raw rows; columns that the schema does not know are left out, and so is the target.
        schema: What a row looks like.
        where: What the frame is called in a message.

    Returns:
        The features in their order, then the timestamp and the id where they are there.

    Raises:
        SchemaMismatch: If features are absent or cannot be read as what they must be; the message lists all of them.
    """
    readers = {column.name: {"number": _number, "category": _text}[column.kind] for column in schema.features}
    absent = [name for name in readers if name not in frame.columns]
    mistakes = [f"column {name!r} is wanted, but not there" for name in absent]
    beside = {schema.timestamp: _time} | ({schema.id: _text} if schema.id else {})
    readers |= {name: read for name, read in beside.items() if name in frame.columns}
    columns = []
    for name in [name for name in readers if name not in absent]:
        try:
            columns.append(readers[name](frame[name]))
        except _Unfit as err:
            mistakes.append(f"column {name!r} {err}")
    if mistakes:
        there = ", ".join(frame.columns)
        raise SchemaMismatch(
            f"{where}: " + "; ".join(mistakes) + f"; it holds {there}: give it the columns that the model learned from"
        )
    return pl.DataFrame(columns)


def kind_of(series: pl.Series, data: DataSettings) -> ColumnKind | None:
    """Whether a column is read as numbers or as categories; None if it is neither, such as a list or a time."""
    settings = data.columns.get(series.name)
    if settings is not None and settings.kind is not None:
        return settings.kind
    if series.dtype.is_numeric():
        return "number"
    return "category" if series.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Boolean) else None


def _reader(series: pl.Series, data: DataSettings) -> Callable[[pl.Series], pl.Series]:
    return {"number": _number, "category": _text, None: _neither}[kind_of(series, data)]


def _time(series: pl.Series) -> pl.Series:
    times = series
    if series.dtype == pl.String:
        try:
            times = series.str.to_datetime(time_unit="us")
        except pl.exceptions.PolarsError as err:
            raise _Unfit(f"must hold event times in ISO 8601 with a zone, but holds {_some(series)}") from err
    if not isinstance(times.dtype, pl.Datetime):
        raise _Unfit(f"must hold event times, but holds {series.dtype}")
    if times.dtype.time_zone is None:
        raise _Unfit(f"must hold event times with a zone, but {_some(series)} has none: nobody can know when that was")
    if times.null_count():
        raise _Unfit(f"must hold an event time in every row, but {times.null_count():,} of {times.len():,} have none")
    return times.dt.convert_time_zone("UTC").dt.cast_time_unit("us")


def _binary(series: pl.Series) -> pl.Series:
    numbers = _number(series.cast(pl.Int8) if series.dtype == pl.Boolean else series)
    wrong = numbers.filter(~numbers.is_in([0.0, 1.0]))
    if wrong.len():
        raise _Unfit(f"must hold 0 and 1, but {wrong.len():,} of {series.len():,} rows hold others ({_some(wrong)})")
    return numbers.cast(pl.Int64)


def _number(series: pl.Series) -> pl.Series:
    if series.dtype not in (pl.String, pl.Null, pl.Boolean) and not series.dtype.is_numeric():
        raise _Unfit(f"must hold numbers, but holds {series.dtype}")
    numbers = series.cast(pl.Float64, strict=False)
    wrong = series.filter(numbers.is_null() & series.is_not_null())
    if series.dtype == pl.String:
        wrong = wrong.filter(wrong != "")
    if wrong.len():
        raise _Unfit(f"must hold numbers, but {wrong.len():,} of {series.len():,} rows do not ({_some(wrong)})")
    return numbers.fill_nan(None)


def _text(series: pl.Series) -> pl.Series:
    if series.dtype.is_nested() or series.dtype.is_temporal() or series.dtype == pl.Binary:
        raise _Unfit(f"must hold text, but holds {series.dtype}")
    if series.dtype in (pl.String, pl.Categorical, pl.Enum):
        texts = series.cast(pl.String)
    else:
        values: list[Any] = series.unique().to_list()
        texts = series.replace_strict(values, [text_of(value) for value in values], return_dtype=pl.String)
    return texts.replace("", None)


def _neither(series: pl.Series) -> pl.Series:
    raise _Unfit(f"must hold numbers or text, but holds {series.dtype}: turn it into one, say its kind, or drop it")


def _some(series: pl.Series) -> str:
    """One of the values, for a message."""
    return repr(series.drop_nulls().first())

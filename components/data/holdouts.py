"""Which rows no version ever learns from: a fixed share of all rows, told by what a row is called.

A row's number depends on its id alone, or on its event time and features where it has none. So it is in or out
whatever the table version, the process or the machine, and a row that comes back from the ledger under its id stays
where it was. Without an id a new feature column deals the rows anew: give a table an id to keep its holdout for good.
"""

import zlib

import numpy as np
import numpy.typing as npt
import polars as pl

from components.records.rows import Schema

Numbers = npt.NDArray[np.uint64]

# What stands for a missing value; any fixed number would do.
MISSING = np.uint64(0x6D697373696E67)


def kept_back(frame: pl.DataFrame, schema: Schema, share: float) -> pl.Series:
    """Whether each row belongs to the holdout; true for about `share` of the rows, always the same ones.

    Args:
        frame: Typed rows; the target is not looked at, so a corrected label moves no row.
        schema: Which columns are id, event time and features.
        share: Share of all rows, 0 to below 1. A larger one keeps the rows of a smaller one, and more.
    """
    if not share:
        return pl.repeat(False, frame.height, eager=True)
    return pl.Series(row_numbers(frame, schema) / 2.0**64 < share)


def row_numbers(frame: pl.DataFrame, schema: Schema) -> Numbers:
    """A number from 0 to 2^64 - 1 for each row, spread evenly, shape (rows,)."""
    content = sorted([schema.timestamp, *(column.name for column in schema.features)])
    if schema.id is None:
        return _mixed(frame, content)
    named = _mixed(frame, [schema.id])
    nameless = frame[schema.id].is_null()
    if not nameless.any():
        return named
    return np.asarray(np.where(nameless.to_numpy(), _mixed(frame, content), named))


def _mixed(frame: pl.DataFrame, names: list[str]) -> Numbers:
    numbers = np.zeros(frame.height, np.uint64)
    for name in names:
        numbers = _stir(numbers ^ _plain(frame[name]))
    return numbers


def _plain(series: pl.Series) -> Numbers:
    """A value as a number: the CRC-32 of a text, the bits of a number or a time.

    Neither polars' hash nor Python's is the same in the next release or the next process. CRC-32 takes 0.08 s for
    300,000 ids, BLAKE2 0.22 s; texts that share one of its numbers are in or out together, which does no harm.
    """
    if series.dtype == pl.String:
        texts = series.fill_null("").cast(pl.Binary).to_list()
        values = np.fromiter(map(zlib.crc32, texts), np.uint64, len(texts))
    elif series.dtype.is_temporal():
        values = series.to_physical().fill_null(0).cast(pl.Int64).to_numpy().astype(np.uint64)
    else:
        # Adding 0 turns -0.0 into 0.0: the two are equal.
        values = (series.cast(pl.Float64).fill_null(0).to_numpy() + 0.0).view(np.uint64)
    return np.where(series.is_null().to_numpy(), MISSING, values)


def _stir(numbers: Numbers) -> Numbers:
    """Numbers that differ in one bit differ in half of them: the last steps of SplitMix64.

    Source:
        Steele, Lea and Flood (2014), Fast Splittable Pseudorandom Number Generators, OOPSLA.
    """
    stirred = numbers + np.uint64(0x9E3779B97F4A7C15)
    stirred = (stirred ^ (stirred >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    stirred = (stirred ^ (stirred >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(stirred ^ (stirred >> np.uint64(31)))

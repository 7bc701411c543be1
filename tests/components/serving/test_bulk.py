"""Rows that come as a table are read as those of JSON are, and refused for the same reasons."""

import io
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from components.serving.bodies import ARROW, PARQUET
from components.serving.bulk import read_bulk
from components.serving.refusals import Problem, Refused
from components.serving.rows import Rows
from tests.components.serving import tiny

NOW_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
WHEN = pa.array([datetime(2026, 1, 2, tzinfo=UTC), None], pa.timestamp("ms", "Europe/Berlin"))


def stream(table: pa.Table, options: pa.ipc.IpcWriteOptions | None = None, rows: int | None = None) -> bytes:
    """The table as an Arrow stream, in batches of so many rows."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table, rows)
    return sink.getvalue()


def file(table: pa.Table, **how: Any) -> bytes:
    """The table as a Parquet file."""
    sink = io.BytesIO()
    parquet.write_table(table, sink, **how)
    return sink.getvalue()


def read(body: bytes, kind: str = ARROW, *, max_rows: int = 50, max_bytes: int = 100_000) -> Rows:
    """What is read from it."""
    return read_bulk(body, kind, tiny.SCHEMA, max_rows=max_rows, max_bytes=max_bytes, now_us=NOW_US)


def table(**columns: Any) -> pa.Table:
    """Two good rows; columns by keyword, `wind` for the one with a space in its name, None to leave one out."""
    good = {
        "temp": pa.array([1.5, None]),
        "wind speed": pa.array([1, 2], pa.int16()),
        "carrier": pa.array(["日本", None]).dictionary_encode(),
        "tail": pa.array(["N1", "N2"], pa.large_string()),
    }
    named = {{"wind": "wind speed", "id": "flight id"}.get(name, name): values for name, values in columns.items()}
    return pa.table({name: values for name, values in (good | named).items() if values is not None})


BODIES = [
    ("a stream", stream(table(at=WHEN, id=[7, None])), ARROW),
    ("a stream of small batches", stream(table(at=WHEN, id=[7, None]).unify_dictionaries(), rows=1), ARROW),
    ("a compressed stream", stream(table(at=WHEN, id=[7, None]), pa.ipc.IpcWriteOptions(compression="zstd")), ARROW),
    ("a Parquet file", file(table(at=WHEN, id=["7", None])), PARQUET),
    ("a Parquet file without dictionaries", file(table(at=WHEN, id=[7, None]), use_dictionary=False), PARQUET),
]


@pytest.mark.parametrize(("body", "kind"), [case[1:] for case in BODIES], ids=[case[0] for case in BODIES])
def test_a_table_becomes_the_columns_that_json_becomes(body: bytes, kind: str):
    """Numbers of any width, texts of any encoding, missing values, times of any zone and ids arrive as meant."""
    rows = read(body, kind)

    assert {name: rows.columns[name] for name in ("carrier", "tail")} == {
        "carrier": ["日本", None],
        "tail": ["N1", "N2"],
    }
    assert np.array_equal(rows.columns["temp"], [1.5, np.nan], equal_nan=True)
    assert np.array_equal(rows.columns["wind speed"], [1.0, 2.0])
    assert rows.columns["wind speed"].dtype == np.float64
    assert list(rows.timestamps) == [1_767_312_000_000_000, NOW_US]
    assert rows.entity_ids == ["7", None]


def test_what_polars_writes_is_read():
    """Its texts are views, which are another layout than those of pyarrow."""
    long = "a text that is too long to stand in a view itself"
    frame = pl.DataFrame({"wind speed": [0.5, 1.0, 2.0], "tail": ["N1", long, long], "carrier": ["UA", None, long]})
    sink = io.BytesIO()
    frame.write_ipc_stream(sink)

    rows = read(sink.getvalue())

    assert rows.columns["tail"] == ["N1", long, long]
    assert rows.columns["carrier"] == ["UA", None, long]
    assert rows.columns["temp"] == [None] * 3


NONE = "a number or null"
TIME = "a time with its zone between 1970 and 2099, such as 2026-01-31T12:00:00Z"
WRONG = [
    ("text for a number", {"temp": ["1", "2"]}, Problem(None, "temp", NONE, "string")),
    ("booleans for numbers", {"temp": [True, False]}, Problem(None, "temp", NONE, "bool")),
    ("numbers for text", {"carrier": [1, 2]}, Problem(None, "carrier", "text or null", "int64")),
    ("a list for text", {"carrier": [["UA"], []]}, Problem(None, "carrier", "text or null", "list<item: string>")),
    ("a missing column", {"wind": None}, Problem(None, "wind speed", "a number", "nothing")),
    (
        "a misspelling",
        {"carier": ["a", "b"]},
        Problem(None, "carier", "no such column; did you mean 'carrier'?", "string"),
    ),
    ("the target", {"late": [0, 1]}, Problem(None, "late", "no such column: it is what the model predicts", "int64")),
    ("NaN", {"wind": [1.0, float("nan")]}, Problem(1, "wind speed", "a number", "NaN")),
    (
        "infinity",
        {"temp": [float("-inf"), None]},
        Problem(0, "temp", NONE, "a number that is infinite or too large for a double"),
    ),
    ("null where none may be", {"wind": [1.0, None]}, Problem(1, "wind speed", "a number", "null")),
    ("no text where one must be", {"tail": ["N1", None]}, Problem(1, "tail", "text", "null")),
    ("nothing but null", {"tail": pa.nulls(2)}, Problem(0, "tail", "text", "null")),
    (
        "a naive time",
        {"at": pa.array([0, None], pa.timestamp("us"))},
        Problem(None, "at", "a timestamp with its zone", "timestamp[us]"),
    ),
    (
        "a time beyond all times",
        {"at": pa.array([0, 4_102_444_800], pa.timestamp("s", "UTC"))},
        Problem(1, "at", TIME, "a timestamp[s, tz=UTC] of 4102444800"),
    ),
    ("an id that is none", {"id": [1.5, None]}, Problem(None, "flight id", "text, a whole number or null", "double")),
]


@pytest.mark.parametrize("kind", [ARROW, PARQUET], ids=["Arrow", "Parquet"])
@pytest.mark.parametrize(("columns", "problem"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_wrong_column_or_value_is_named(columns: dict[str, Any], problem: Problem, kind: str):
    """Column, wanted and found, and the row where it is one value that is wrong."""
    rows = table(**columns)
    body = stream(rows) if kind == ARROW else file(rows)

    with pytest.raises(Refused) as refused:
        read(body, kind)

    assert refused.value.status == 422
    found = refused.value.problems[0]
    assert refused.value.error.startswith(str(found))
    # Parquet has types of its own for some of Arrow's, such as milliseconds for seconds.
    told = found.found if kind == ARROW or problem.column not in ("at", "carrier") else problem.found
    assert (found.row, found.column, found.wanted, told) == (problem.row, problem.column, problem.wanted, problem.found)


def test_a_column_that_comes_twice_is_refused():
    """Nobody could say which of the two was asked."""
    rows = pa.table([pa.array([1.0]), pa.array([2.0]), pa.array(["N1"])], names=["wind speed", "wind speed", "tail"])

    with pytest.raises(Refused, match="column 'wind speed': wanted the column once, found it 2 times"):
        read(stream(rows))


LONG = pa.array(["x" * 5_000])
TOO_MUCH = [
    ("rows", stream(pa.table({"wind speed": np.zeros(51), "tail": ["N"] * 51})), ARROW, 422, "at most 50 rows"),
    ("rows of a file", file(pa.table({"wind speed": np.zeros(51), "tail": ["N"] * 51})), PARQUET, 422, "found 51"),
    ("none", stream(table().slice(0, 0)), ARROW, 422, "wanted at least one row, found an empty table"),
    ("none in a file", file(table().slice(0, 0)), PARQUET, 422, "wanted at least one row"),
    (
        "texts behind one another's back",
        stream(
            pa.table({"wind speed": np.zeros(50), "tail": pa.DictionaryArray.from_arrays(np.zeros(50, np.int32), LONG)})
        ),
        ARROW,
        413,
        "found 0.2 MB once they are unpacked",
    ),
    (
        "texts in a file",
        file(pa.table({"wind speed": np.zeros(50), "tail": LONG.to_pylist() * 50})),
        PARQUET,
        413,
        "once they are unpacked",
    ),
    (
        "zeros, compressed",
        stream(table(tail=["x" * 100_000, ""]), pa.ipc.IpcWriteOptions(compression="zstd")),
        ARROW,
        413,
        "wanted at most 0.1 MB of rows",
    ),
]


@pytest.mark.parametrize(
    ("body", "kind", "status", "sentence"), [c[1:] for c in TOO_MUCH], ids=[c[0] for c in TOO_MUCH]
)
def test_a_table_of_too_much_or_nothing_is_refused(body: bytes, kind: str, status: int, sentence: str):
    """A body of a few kilobytes cannot make the service hold a gigabyte."""
    with pytest.raises(Refused, match=sentence) as refused:
        read(body, kind)

    assert len(body) < 20_000
    assert refused.value.status == status


@pytest.mark.parametrize("kind", [ARROW, PARQUET], ids=["Arrow", "Parquet"])
def test_bytes_that_are_no_table_are_refused(kind: str):
    """Nothing, text, and the other kind of table: a sentence for each."""
    other = stream(table()) if kind == PARQUET else file(table())
    for body in (b"", b"{}", b"\xff" * 8, b"\0" * 64, other):
        with pytest.raises(Refused) as refused:
            read(body, kind)

        assert refused.value.status in (400, 422)
        assert "wanted" in refused.value.error


@pytest.mark.parametrize(("body", "kind"), [case[1:] for case in BODIES], ids=[case[0] for case in BODIES])
def test_a_table_with_a_broken_byte_is_read_or_refused_and_nothing_else(body: bytes, kind: str):
    """Whatever is changed or cut off, the process lives, and no other error than a refusal comes of it."""
    generator = np.random.default_rng(7)
    statuses, sizes = set(), set()
    for _ in range(400):
        broken = bytearray(body)
        for place in generator.integers(0, len(body), generator.integers(1, 4)):
            broken[place] = generator.integers(0, 256)
        cut = bytes(broken[: generator.integers(1, len(body) + 1)] if generator.random() < 0.3 else broken)
        try:
            rows = read(cut, kind)
        except Refused as refused:
            statuses.add(refused.status)
        else:
            sizes.add(len(rows))

    assert {400} <= statuses <= {400, 413, 422}
    assert sizes <= set(range(1, 51))

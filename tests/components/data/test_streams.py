"""Rows come in one order, from any row on, from files, tables and databases; and no message tells a password."""

import os
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
import sqlalchemy as sa

from components.data.streams import ADDRESS_VARIABLE, Stream, batches, open_stream, sheltered
from components.errors import DataError, PassingFault, ProjectFileError

ROWS = pl.DataFrame({"a": range(1000), "word": [f"w{number % 7}" for number in range(1000)]})


def parquet(folder: Path) -> Stream:
    """One file of several row groups."""
    ROWS.write_parquet(folder / "rows.parquet", row_group_size=300)
    return open_stream(folder / "rows.parquet")


def files(folder: Path) -> Stream:
    """A folder of four."""
    many = folder / "many"
    many.mkdir()
    for number in range(4):
        ROWS[number * 250 : (number + 1) * 250].write_parquet(many / f"{number}.parquet", row_group_size=100)
    return open_stream(many)


def csv(folder: Path) -> Stream:
    """One file of text."""
    ROWS.write_csv(folder / "rows.csv")
    return open_stream(folder / "rows.csv")


def delta(folder: Path) -> Stream:
    """A table of two commits."""
    for number in range(2):
        ROWS[number * 500 : (number + 1) * 500].write_delta(folder / "table", mode="append")
    return open_stream(folder / "table")


def sql(folder: Path, query: str = "SELECT a, word FROM rides ORDER BY a") -> Stream:
    """What a database answers."""
    return open_stream(database(folder), query)


def database(folder: Path) -> str:
    """The address of a database with the rows."""
    address = f"sqlite:///{folder}/rides.db"
    ROWS.write_database("rides", sa.create_engine(address), if_table_exists="replace")
    return address


def read(stream: Stream, folder: Path, start: int = 0, size: int = 64) -> pl.DataFrame:
    """The rows from one on, and that no table is larger than asked for."""
    tables = list(batches(stream, stream.pieces(folder), ["a", "word"], size, start, frozenset({"word"})))
    assert max(table.num_rows for table in tables) <= size
    frames = [pl.DataFrame(pl.from_arrow(table)).cast({"word": pl.String}) for table in tables]
    return pl.concat(frames)


@pytest.mark.parametrize("kind", [parquet, files, csv, delta, sql])
def test_the_rows_come_in_order_from_any_row_on(kind, tmp_path: Path):
    """Across row groups, files and batches; also when it is opened a second time."""
    stream = kind(tmp_path)

    for start in (0, 1, 299, 300, 512, 750, 999):
        assert read(stream, tmp_path, start).rows() == ROWS[start:].rows()


@pytest.mark.parametrize("kind", [parquet, files, csv, delta, sql])
def test_the_fingerprint_tells_other_rows(kind, tmp_path: Path):
    """It stays as long as the rows do, and is another one when they change."""
    (tmp_path / "one").mkdir()
    stream = kind(tmp_path / "one")
    same = stream.fingerprint()
    place = tmp_path / "one"

    for file in [*place.rglob("*.parquet"), *place.glob("*.csv")]:
        os.utime(file, ns=(1, 1))
    if kind is delta:
        ROWS[:1].write_delta(place / "table", mode="append")
        stream = open_stream(place / "table")
    if kind is sql:
        with sa.create_engine(f"sqlite:///{place}/rides.db").begin() as connection:
            connection.exec_driver_sql("DELETE FROM rides WHERE a = 3")

    assert same == same.copy()
    assert stream.fingerprint() != same


def test_a_partitioned_table_that_grew_a_column_gives_all_columns(tmp_path: Path):
    """What stands in a folder's name is a column too; a file from before the column was there has nulls."""
    options = {"partition_by": ["word"]}
    ROWS[:2].write_delta(tmp_path / "t", delta_write_options=options)
    grown = ROWS[2:3].with_columns(b=pl.lit(1.5))
    grown.write_delta(tmp_path / "t", mode="append", delta_write_options=options | {"schema_mode": "merge"})
    stream = open_stream(tmp_path / "t")

    tables = list(batches(stream, stream.pieces(tmp_path), ["a", "b", "word"], 64))

    rows = [row for table in tables for row in table.select(["a", "b", "word"]).to_pylist()]
    assert sorted(row["a"] for row in rows) == [0, 1, 2]
    assert {row["a"]: (row["b"], row["word"]) for row in rows} == {0: (None, "w0"), 1: (None, "w1"), 2: (1.5, "w2")}


def test_a_query_is_asked_once(tmp_path: Path):
    """Rows that were laid down stay the ones to be answered, whatever happens in the database meanwhile."""
    stream = sql(tmp_path)
    stream.pieces(tmp_path)
    with sa.create_engine(f"sqlite:///{tmp_path}/rides.db").begin() as connection:
        connection.exec_driver_sql("DELETE FROM rides")

    assert read(stream, tmp_path).height == 1000


def test_a_table_may_be_named_instead_of_a_query(tmp_path: Path):
    """And text in a query is text: a colon is no parameter, a percent sign neither."""
    named = sql(tmp_path, "rides")
    query = "SELECT a, word || ':30%' AS word FROM rides WHERE word LIKE 'w%' AND '12:30' <> word ORDER BY a;"

    assert read(named, tmp_path).height == 1000
    (tmp_path / "other").mkdir()
    assert read(sql(tmp_path, query), tmp_path / "other")["word"][0] == "w0:30%"


def test_types_that_a_database_shows_late_are_read(tmp_path: Path):
    """A column that is empty for the first 50,000 rows: each batch has a type of its own."""
    rows = pl.DataFrame(
        {"a": range(50_010), "word": [None] * 50_000 + ["x"] * 10}, schema_overrides={"word": pl.String}
    )
    rows.write_database("late", sa.create_engine(f"sqlite:///{tmp_path}/late.db"))
    stream = open_stream(f"sqlite:///{tmp_path}/late.db", "late")

    tables = list(batches(stream, stream.pieces(tmp_path), ["a", "word"], 20_000))

    assert sum(table.num_rows for table in tables) == 50_010
    assert (tables[0]["word"].type, tables[-1]["word"].to_pylist()) == (pa.null(), ["x"] * 10)


def test_an_address_with_a_password_is_shown_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It goes into a variable of the process, and messages hide it."""
    monkeypatch.delenv(ADDRESS_VARIABLE, raising=False)
    address = "postgresql://me:s3cret@127.0.0.1:1/rides"

    source = sheltered(address)

    with pytest.raises(PassingFault, match=r"database of postgresql://me:\*\*\*@127.0.0.1:1/rides") as caught:
        open_stream(source, "rides").fingerprint()
    assert (source, os.environ[ADDRESS_VARIABLE]) == (f"env:{ADDRESS_VARIABLE}", address)
    assert "s3cret" not in f"{caught.value}{open_stream(source, 'rides').where}"
    monkeypatch.delenv(ADDRESS_VARIABLE)


def test_a_source_without_a_password_stays_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Paths become absolute: a flow runs in another folder."""
    monkeypatch.chdir(tmp_path)

    assert sheltered("rows.parquet") == str(tmp_path / "rows.parquet")
    assert sheltered("sqlite:///rides.db") == "sqlite:///rides.db"
    assert sheltered("env:RIDES_URL") == "env:RIDES_URL"


@pytest.mark.parametrize(
    ("source", "query", "error", "message"),
    [
        ("nowhere.parquet", None, DataError, "wanted rows to predict at nowhere.parquet, found no such file"),
        ("nowhere.parquet", "rides", DataError, "wanted a database to ask 'rides', found the path nowhere.parquet"),
        ("sqlite:///x.db", None, DataError, "wanted a query or a table of the database sqlite:///x.db, found none"),
        ("env:RIDES_URL", "rides", ProjectFileError, "variable RIDES_URL, found it unset; export RIDES_URL="),
        ("://me:s3cret", "rides", ProjectFileError, "wanted a SQLAlchemy address such as .*, found another thing"),
    ],
)
def test_a_source_that_is_none_gets_a_sentence(source: str, query: str | None, error: type, message: str):
    """Wanted, found, what to do; never the address itself where it may hold a password."""
    with pytest.raises(error, match=message) as caught:
        open_stream(source, query)

    assert "s3cret" not in str(caught.value)


def test_a_query_that_the_database_refuses_is_shown(tmp_path: Path):
    """What the database says is handed on."""
    with pytest.raises(DataError, match="the query of --query must run, but the database says: no such column: c"):
        sql(tmp_path, "SELECT c FROM rides").fingerprint()

"""Rows arrive from files, Delta tables, databases and a user's own class; what fails says what to do."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from components.data.sources import Csv, Delta, Parquet, Sql, read_source
from components.errors import DataError, NotEnoughRows, PassingFault, ProjectFileError
from tests.components.data.rides import project, rides

SMALL = pl.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"]})


def read(source: Csv | Delta | Parquet | Sql) -> pl.DataFrame:
    """All rows of a source."""
    return pl.concat([pl.DataFrame(pl.from_arrow(batch)) for batch in source.batches()])


class Uneven:
    """A source whose first batch knows no number yet."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pydict({"a": pa.nulls(2)})
        yield pa.RecordBatch.from_pydict({"a": [1.5]})


class Silent:
    """A source without rows."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pydict({"a": pa.array([], pa.int64())})


class Frames:
    """A source that yields what it must not."""

    def batches(self) -> Iterator[pl.DataFrame]:
        yield SMALL


class Changing:
    """A source whose batches do not fit under each other."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pydict({"a": [1]})
        yield pa.RecordBatch.from_pydict({"b": [1]})


def source_of(name: str) -> dict[str, str]:
    """The `source` setting for one of the classes above."""
    return {"class_path": f"{__name__}.{name}"}


def test_a_csv_file_gives_its_rows_with_the_types_of_all_of_them(tmp_path: Path):
    """A column of whole numbers that ends in a fraction is read as fractions, and a time with a zone as a time."""
    file = tmp_path / "a.csv"
    lines = [f"{number};2026-03-01T00:00:00Z;-" for number in range(2_000)]
    file.write_text("\n".join(["n;t;note", *lines, "0.5;2026-03-01T00:00:00Z;hi"]))

    frame = read(Csv(str(file), separator=";", null_values=["-"]))

    assert frame.schema == {"n": pl.Float64, "t": pl.Datetime("us", "UTC"), "note": pl.String}
    assert frame["note"].null_count() == 2_000


def test_a_parquet_file_and_a_folder_of_them_give_their_rows(tmp_path: Path):
    """One file or many is the same to a project."""
    SMALL[:2].write_parquet(tmp_path / "1.parquet")
    SMALL[2:].write_parquet(tmp_path / "2.parquet")

    assert_frame_equal(read(Parquet(str(tmp_path / "1.parquet"))), SMALL[:2])
    assert_frame_equal(read(Parquet(str(tmp_path))).sort("a"), SMALL)


def test_a_delta_table_is_read_at_the_version_asked_for(tmp_path: Path):
    """A fixed version is still there after the table has moved on."""
    SMALL.write_delta(str(tmp_path / "t"))
    SMALL[:1].write_delta(str(tmp_path / "t"), mode="overwrite")

    assert read(Delta(str(tmp_path / "t"))).height == 1
    assert_frame_equal(read(Delta(str(tmp_path / "t"), version=0)).sort("a"), SMALL)


def test_a_query_gives_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The database's address comes from the environment, the query from the project file."""
    monkeypatch.setenv("RIDES_URL", database(tmp_path))

    frame = read(Sql("RIDES_URL", "SELECT a, b FROM rides ORDER BY a"))

    assert_frame_equal(frame, SMALL)


def test_a_query_that_the_database_refuses_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What the database says is handed on; trying again would not help."""
    monkeypatch.setenv("RIDES_URL", database(tmp_path))

    with pytest.raises(DataError, match="no such column: c; correct 'SELECT c FROM rides'"):
        read(Sql("RIDES_URL", "SELECT c FROM rides"))


def test_an_address_that_is_not_set_names_the_variable():
    """The message shows what to export."""
    with pytest.raises(ProjectFileError, match=r"variable RIDES_URL, found it unset; export RIDES_URL="):
        read(Sql("RIDES_URL", "SELECT 1"))


def test_a_wrong_address_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch):
    """An address may hold a password, so no message repeats it."""
    monkeypatch.setenv("RIDES_URL", "nosuchdatabase://me:secret@host/x")

    with pytest.raises(ProjectFileError, match="correct RIDES_URL, or install the driver") as caught:
        read(Sql("RIDES_URL", "SELECT 1"))

    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_database_that_cannot_be_reached_may_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Only this failure of a query is one that passes."""
    monkeypatch.setenv("RIDES_URL", f"sqlite:///{tmp_path}/no/such/folder/x.db")

    with pytest.raises(PassingFault, match="database of RIDES_URL to answer, but it said: unable to open"):
        read(Sql("RIDES_URL", "SELECT 1"))


@pytest.mark.parametrize("source", [Csv, Parquet, Delta])
def test_a_file_that_is_not_there_is_named(source: type, tmp_path: Path):
    """The message holds the path and the setting to correct."""
    with pytest.raises(DataError, match=r"nowhere.*correct data.source.init_args.path"):
        read(source(str(tmp_path / "nowhere")))


def test_a_file_of_another_format_is_refused(tmp_path: Path):
    """Text is no Parquet file."""
    (tmp_path / "a.parquet").write_text("hello")

    with pytest.raises(DataError, match=r"wanted a Parquet file or a folder of them at .*a\.parquet"):
        read(Parquet(str(tmp_path / "a.parquet")))


def test_a_relative_path_starts_at_the_project_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A project gives the same rows wherever the command is typed."""
    settings = project(tmp_path, rides(50)).data
    monkeypatch.chdir("/")

    assert_frame_equal(read_source(settings, tmp_path), rides(50))


def test_batches_that_know_more_later_fit_under_each_other(tmp_path: Path):
    """A column without a value in the first batch takes its type from a later one."""
    frame = read_source(project(tmp_path, source=source_of("Uneven")).data, tmp_path)

    assert frame["a"].to_list() == [None, None, 1.5]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("Silent", NotEnoughRows, "must yield rows, but yielded none; check its init_args"),
        ("Frames", DataError, r"must yield pyarrow.RecordBatch, but yielded DataFrame; yield from frame.to_arrow"),
        ("Changing", DataError, "must have the same columns, but do not"),
    ],
)
def test_a_source_that_breaks_its_promise_is_told_which(name: str, error: type, message: str, tmp_path: Path):
    """The message says what a source must do."""
    with pytest.raises(error, match=message):
        read_source(project(tmp_path, source=source_of(name)).data, tmp_path)


def database(folder: Path) -> str:
    """URL of a SQLite database with a table of rides."""
    with sqlite3.connect(folder / "rides.db") as connection:
        connection.execute("CREATE TABLE rides (a INTEGER, b TEXT)")
        connection.executemany("INSERT INTO rides VALUES (?, ?)", SMALL.rows())
    return f"sqlite:///{folder}/rides.db"

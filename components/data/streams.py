"""Rows to be answered, a batch at a time, in an order that stays: Parquet, CSV, Delta, SQL.

What cannot be read again from its middle (a CSV file, a query) is first laid down as Parquet beside the answers, so
that whoever was stopped can go on where it was. Training tables come by `components.data.sources`.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import deltalake
import polars as pl
import pyarrow as pa
import pyarrow.dataset
from deltalake.exceptions import DeltaError, TableNotFoundError
from pyarrow import parquet

from components.data.queries import Query, without_password
from components.errors import DataError, EverfitError, ProjectFileError

# Before a name: the address stands in that environment variable, and nowhere else.
ENVIRONMENT = "env:"
ADDRESS_VARIABLE = "EVERFIT_INPUT_URL"


@dataclass(frozen=True, slots=True)
class Piece:
    """One Parquet file of a stream.

    Attributes:
        open: Gives the file, or its path.
        rows: How many rows it has.
        names: Columns that it holds; those in its folder's name stand in `beside`, each with its value.
    """

    open: Callable[[], Any]
    rows: int
    names: tuple[str, ...]
    beside: dict[str, Any] = field(default_factory=dict)


class Stream(Protocol):
    """Rows to be answered; messages call them `where`."""

    where: str

    def fingerprint(self) -> dict[str, Any]:
        """What is equal as long as the rows are the same ones, as JSON takes it."""

    def pieces(self, folder: Path) -> list[Piece]:
        """The rows as Parquet files, in their order; a folder keeps those that must be laid down for it."""


def open_stream(source: str | Path, query: str | None = None) -> Stream:
    """The rows at a path, or what a database answers to a query.

    Args:
        source: Parquet file, folder of Parquet files, CSV file, folder of a Delta table, or address of a database
            (`sqlite:///file.db`, `postgresql://host/name`, or `env:NAME` of the variable that holds it).
        query: One SELECT, or the name of a table, for a database.

    Raises:
        DataError: If there is no such file, or a query and no database or the other way round.
        ProjectFileError: If the address is none, or the variable is not set.
    """
    text = str(source)
    if isinstance(source, str) and ("://" in text or text.startswith(ENVIRONMENT)):
        return SqlRows(_asked(text, query))
    path = Path(source)
    if query is not None:
        raise DataError(f"wanted a database to ask {query!r}, found the path {path}; give its address, or no query")
    if not path.exists():
        raise DataError(f"wanted rows to predict at {path}, found no such file; correct the path")
    if path.suffix.lower() == ".csv":
        return CsvRows(path)
    return DeltaRows(path) if (path / "_delta_log").is_dir() else ParquetRows(path)


def sheltered(source: str) -> str:
    """The source as it may be shown and kept: a path made absolute, an address with a password behind a variable.

    That variable is set for this process, and for those that it starts.

    Raises:
        ProjectFileError: If it is no address.
    """
    if source.startswith(ENVIRONMENT):
        return source
    if "://" not in source:
        return str(Path(source).expanduser().resolve())
    if without_password(source) != source:
        os.environ[ADDRESS_VARIABLE] = source
        return f"{ENVIRONMENT}{ADDRESS_VARIABLE}"
    return source


def batches(
    stream: Stream,
    pieces: list[Piece],
    names: list[str],
    size: int,
    start: int = 0,
    texts: frozenset[str] = frozenset(),
) -> Iterator[pa.Table]:
    """The rows from one on, in tables of at most so many rows.

    Args:
        stream: Whose rows they are, for messages.
        pieces: Its files.
        names: Columns to read; one that a file does not hold is null there.
        size: Most rows in a table.
        start: The first row, counted from 0 over all files.
        texts: Columns that may stay dictionaries where the file has them so.

    Raises:
        DataError: If a file cannot be read.
    """
    with reading(stream.where):
        for piece in pieces:
            if start < piece.rows:
                yield from _rows(piece, names, size, start, texts)
            start = max(0, start - piece.rows)


def _rows(piece: Piece, names: list[str], size: int, start: int, texts: frozenset[str]) -> Iterator[pa.Table]:
    there = [name for name in names if name in piece.names]
    with parquet.ParquetFile(piece.open(), read_dictionary=[name for name in there if name in texts]) as file:
        groups = list(range(file.num_row_groups))
        while groups and start >= (count := file.metadata.row_group(groups[0]).num_rows):
            start -= count
            groups.pop(0)
        for batch in file.iter_batches(size, row_groups=groups, columns=there, use_threads=False):
            if start >= batch.num_rows:
                start -= batch.num_rows
                continue
            yield _beside(pa.Table.from_batches([batch.slice(start)]), piece, names)
            start = 0


def _beside(table: pa.Table, piece: Piece, names: list[str]) -> pa.Table:
    """The table with the columns that do not stand in its file."""
    for name in names:
        if name not in piece.names:
            value = piece.beside.get(name)
            table = table.append_column(name, pa.repeat(pa.scalar(value), table.num_rows))
    return table


class ParquetRows:
    """A Parquet file, or a folder of them, in the order of their names."""

    def __init__(self, path: Path) -> None:
        """Say where it is."""
        self.where = str(path)
        self._path = path

    def fingerprint(self) -> dict[str, Any]:
        """Names, sizes and times of the files."""
        return {"parquet": [_stamp(Path(file)) for file in self._files()]}

    def pieces(self, folder: Path) -> list[Piece]:
        """The files as they are."""
        with reading(self.where):
            return [_piece(file) for file in self._files()]

    def _files(self) -> list[str]:
        with reading(self.where):
            return list(pyarrow.dataset.dataset(self._path, format="parquet").files)


class CsvRows:
    """A CSV file with a header."""

    def __init__(self, path: Path) -> None:
        """Say where it is."""
        self.where = str(path)
        self._path = path

    def fingerprint(self) -> dict[str, Any]:
        """Name, size and time of the file."""
        return {"csv": _stamp(self._path)}

    def pieces(self, folder: Path) -> list[Piece]:
        """The file as Parquet, streamed; types are learned from all of it, as they are for a training table.

        Times stay text, which is read as a time where a time is wanted: looking for times in every text takes ten times
        as long as all the rest.
        """
        laid, unfinished = folder / "rows.parquet", folder / "rows.unfinished"
        with reading(self.where):
            if not laid.exists():
                pl.scan_csv(self._path, infer_schema_length=None).sink_parquet(unfinished)
                unfinished.replace(laid)
            return [_piece(str(laid))]


class DeltaRows:
    """A Delta table at its newest version, oldest files first."""

    def __init__(self, path: Path) -> None:
        """Say where it is; the version is taken now."""
        self.where = str(path)
        with reading(self.where):
            self._table = deltalake.DeltaTable(path)

    def fingerprint(self) -> dict[str, Any]:
        """The table's id and version."""
        return {"delta": [str(self._table.metadata().id), self._table.version()]}

    def pieces(self, folder: Path) -> list[Piece]:
        """The table's files as they are."""
        with reading(self.where):
            actions = pl.DataFrame(self._table.get_add_actions(flatten=True)).sort("modification_time", "path")
            order = {path: place for place, path in enumerate(actions["path"])}
            dataset = self._table.to_pyarrow_dataset()
            fragments = sorted(dataset.get_fragments(), key=lambda one: (order.get(one.path, 0), one.path))
            return [_fragment(one) for one in fragments]


class SqlRows:
    """What a database answers to a query, asked once."""

    def __init__(self, query: Query) -> None:
        """Say what to ask."""
        self.where = f"the database {query.database}"
        self._query = query

    def fingerprint(self) -> dict[str, Any]:
        """Address without password, query, and how many rows it has now."""
        return {"sql": [without_password(self._query.url), self._query.statement, self._query.count()]}

    def pieces(self, folder: Path) -> list[Piece]:
        """The rows as Parquet files, streamed: a database asked again may answer in another order."""
        laid, unfinished = folder / "rows", folder / "rows.unfinished"
        with reading(self.where):
            if not laid.is_dir():
                shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
                unfinished.mkdir(parents=True)
                for number, batch in enumerate(self._query.batches()):
                    parquet.write_table(pa.Table.from_batches([batch]), unfinished / f"{number:09}.parquet")
                unfinished.rename(laid)
            return [_piece(str(file)) for file in sorted(laid.glob("*.parquet"))]


def _asked(source: str, query: str | None) -> Query:
    """The query to the database at an address, or at the address that a variable holds."""
    name = source.removeprefix(ENVIRONMENT)
    url = source if name == source else os.environ.get(name)
    if not url:
        raise ProjectFileError(
            f"wanted the address of a database in the environment variable {name}, found it unset; "
            f"export {name}=postgresql://user:password@host/database"
        )
    shown = without_password(url)
    if query is None:
        raise DataError(f"wanted a query or a table of the database {shown}, found none; add --query")
    return Query(url, query, database=shown, asked_by="--query")


def _piece(file: str) -> Piece:
    metadata = parquet.read_metadata(file)
    return Piece(lambda: file, metadata.num_rows, tuple(metadata.schema.to_arrow_schema().names))


def _fragment(fragment: Any) -> Piece:
    names = tuple(fragment.physical_schema.names)
    beside = pyarrow.dataset.get_partition_keys(fragment.partition_expression)
    return Piece(
        lambda: fragment.filesystem.open_input_file(fragment.path),
        fragment.metadata.num_rows,
        names,
        {name: value for name, value in beside.items() if name not in names},
    )


def _stamp(file: Path) -> list[Any]:
    status = file.stat()
    return [str(file.resolve()), status.st_size, status.st_mtime_ns]


@contextmanager
def reading(where: str) -> Iterator[None]:
    """What goes wrong while rows are read, as one sentence."""
    try:
        yield
    except (OSError, pa.ArrowException, pl.exceptions.PolarsError, DeltaError, TableNotFoundError) as err:
        if isinstance(err, EverfitError):  # a passing fault is an OSError too
            raise
        found = " ".join(str(err).split())
        raise DataError(
            f"wanted a CSV file, a Parquet file or a folder of them, or a Delta table at {where}, but reading it "
            f"failed: {found}; correct the path, or what made it"
        ) from err

"""Where rows come from: files, Delta tables, databases, or a class of the user's own that yields Arrow record batches.

A source hands rows on as they are; what a column means is decided later, by `components.data.kinds`.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import deltalake
import polars as pl
import pyarrow as pa
import pyarrow.dataset
from deltalake.exceptions import TableNotFoundError

from components.data.queries import Query
from components.errors import DataError, NotEnoughRows, ProjectFileError
from components.settings.base import PluginSettings
from components.settings.plugins import make
from components.settings.project import DataSettings


class Source(Protocol):
    """What a class named under `data.source` must do."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows, in any order; every batch has the same columns."""


def read_source(data: DataSettings, folder: Path) -> pl.DataFrame:
    """All rows of the project's source, as the source gives them.

    Args:
        data: The project's data settings.
        folder: The project file's folder; a relative `path` in `init_args` starts there.

    Raises:
        ProjectFileError: If the source's class is not there or refuses its arguments.
        DataError: If the source cannot be read or yields something else than record batches.
        NotEnoughRows: If it yields no rows.
        PassingFault: If a database cannot be reached.
    """
    source = make(_in_folder(data.source, folder))
    frames = [_frame(batch, data.source.class_path) for batch in source.batches()]
    frames = [frame for frame in frames if frame.height]
    if not frames:
        raise NotEnoughRows(f"{data.source.class_path} must yield rows, but yielded none; check its init_args")
    try:
        return pl.concat(frames, how="vertical_relaxed")
    except pl.exceptions.PolarsError as err:
        raise DataError(
            f"all batches of {data.source.class_path} must have the same columns, but do not: {err}; mend the source"
        ) from err


def _in_folder(source: PluginSettings, folder: Path) -> PluginSettings:
    path = source.init_args.get("path")
    if not isinstance(path, str) or "://" in path:
        return source
    return source.model_copy(update={"init_args": source.init_args | {"path": str(folder / Path(path).expanduser())}})


def _frame(batch: Any, class_path: str) -> pl.DataFrame:
    if not isinstance(batch, pa.RecordBatch):
        raise DataError(
            f"{class_path}.batches() must yield pyarrow.RecordBatch, but yielded {type(batch).__name__}; "
            "yield from frame.to_arrow().to_batches() if you have a polars frame"
        )
    return pl.DataFrame(pl.from_arrow(batch))


class Csv:
    """A CSV file with a header; types are inferred from all of its rows."""

    def __init__(self, path: str, separator: str = ",", null_values: list[str] | None = None) -> None:
        """Say where the file is.

        Args:
            path: The file.
            separator: What stands between two values.
            null_values: Texts that mean missing, such as `NA`; an empty value always does.
        """
        self.path = path
        self.separator = separator
        self.null_values = null_values

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The file's rows."""
        try:
            frame = pl.read_csv(
                self.path,
                separator=self.separator,
                null_values=self.null_values,
                infer_schema_length=None,
                try_parse_dates=True,
            )
        except (OSError, pl.exceptions.PolarsError) as err:
            raise _unreadable("a CSV file", self.path, err) from err
        yield from frame.to_arrow().to_batches()


class Parquet:
    """A Parquet file, or a folder of them."""

    def __init__(self, path: str) -> None:
        """Say where the file or the folder is."""
        self.path = path

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows of all files."""
        try:
            yield from pyarrow.dataset.dataset(self.path, format="parquet").to_batches()
        except (OSError, pa.ArrowException) as err:
            raise _unreadable("a Parquet file or a folder of them", self.path, err) from err


class Delta:
    """A Delta table, at its newest version or at a fixed one."""

    def __init__(self, path: str, version: int | None = None) -> None:
        """Say where the table is, and which version is meant."""
        self.path = path
        self.version = version

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The table's rows."""
        try:
            table = deltalake.DeltaTable(self.path, version=self.version)
            yield from table.to_pyarrow_dataset().to_batches()
        except (OSError, TableNotFoundError, deltalake.exceptions.DeltaError) as err:
            wanted = "a Delta table" if self.version is None else f"version {self.version} of a Delta table"
            raise _unreadable(wanted, self.path, err) from err


class Sql:
    """The rows of a query; the database's address, which may hold a password, stands in the environment."""

    def __init__(self, url_env: str, query: str) -> None:
        """Say which database and what to ask.

        Args:
            url_env: Name of the environment variable that holds the SQLAlchemy URL.
            query: One SELECT.
        """
        self.url_env = url_env
        self.query = query

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The query's rows."""
        url = os.environ.get(self.url_env)
        if not url:
            raise ProjectFileError(
                f"wanted the database's URL in the environment variable {self.url_env}, found it unset; "
                f"export {self.url_env}=postgresql+psycopg://user:password@host/database"
            )
        yield from Query(url, self.query, database=self.url_env, asked_by="data.source").batches()


def _unreadable(wanted: str, path: str, err: Exception) -> DataError:
    found = " ".join(str(err).split())
    return DataError(f"wanted {wanted} at {path}, but reading it failed: {found}; correct data.source.init_args.path")

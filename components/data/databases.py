"""One database, on SQLite or PostgreSQL: connections that are rolled back unless committed, and times that are UTC.

What stands in the tables is known by whoever defines them (`components.data.decisions`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from components.errors import LedgerError, PassingFault

# Longer than any write here takes, also with every process of a busy machine in line before it.
BUSY_MS = 30_000


class UtcTime(sa.types.TypeDecorator[datetime]):
    """Aware UTC times, also where the database (SQLite) knows no zones."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Refuses a time without a zone."""
        if value is not None and value.tzinfo is None:
            raise LedgerError(f"a database keeps UTC times, but {value} has no zone; pass an aware time")
        return value if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """The time in UTC, whatever zone the database speaks."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Database:
    """A database with the tables it should hold, made when they are first needed.

    Args:
        url: SQLAlchemy address.
        metadata: The tables.
    """

    def __init__(self, url: str, metadata: sa.MetaData) -> None:
        # No pool: a few statements an hour need none, and connections never cross a fork.
        self._engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
        self._metadata = metadata
        self._ready = False
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _prepare_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)

    @property
    def address(self) -> str:
        """The address, for messages: without the password."""
        return self._engine.url.render_as_string(hide_password=True)

    @contextmanager
    def connect(self, *, writes: bool) -> Iterator[sa.Connection]:
        """A connection in a transaction; what is not committed is rolled back.

        Args:
            writes: Whether the transaction may write; on SQLite only one such runs at a time, the others wait.

        Raises:
            PassingFault: If the database cannot be reached, or is busy for too long.
            LedgerError: If it is reached but cannot be used.
        """
        try:
            self._make_tables()
            with self._engine.connect().execution_options(everfit_writes=writes) as connection:
                yield connection
        except OperationalError as err:
            raise PassingFault(
                f"wanted to use the database {self.address}, but it said: {err.orig}; "
                "check that it runs and that its disk is writable, then try again"
            ) from err
        except (SQLAlchemyError, OSError) as err:
            refused = getattr(err, "orig", None)
            if isinstance(refused, LedgerError):  # a value of ours, which SQLAlchemy has wrapped
                raise refused from None
            raise LedgerError(
                f"wanted to use the database {self.address}, but that failed: {err}; "
                "restore it from a backup, or move it aside to begin a new one"
            ) from err

    def _make_tables(self) -> None:
        if self._ready:
            return
        file = self._engine.url.database
        if self._engine.dialect.name == "sqlite" and file:
            Path(file).parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._engine.connect().execution_options(everfit_writes=True) as connection:
                self._metadata.create_all(connection)
                _add_columns(connection, self._metadata)
                connection.commit()
        except DBAPIError:
            # On PostgreSQL, of two that make the same table or column at once, one gets an error, the other succeeds.
            if _missing(sa.inspect(self._engine), self._metadata):
                raise
        self._ready = True


def _add_columns(connection: sa.Connection, metadata: sa.MetaData) -> None:
    """Adds what a table of an older Everfit lacks; such a column must allow nothing to stand in it."""
    for column in _missing(sa.inspect(connection), metadata):
        kind = column.type.compile(dialect=connection.dialect)
        connection.execute(sa.text(f'ALTER TABLE "{column.table.name}" ADD COLUMN "{column.name}" {kind}'))


def _missing(found: sa.Inspector, metadata: sa.MetaData) -> list[sa.Column[Any]]:
    """Columns, of all tables, that the database does not have (yet)."""
    there = {(table, column["name"]) for table in found.get_table_names() for column in found.get_columns(table)}
    return [
        column
        for table in metadata.tables.values()
        for column in table.columns
        if (table.name, column.name) not in there
    ]


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Readers do not wait for a writer (WAL), writers wait for each other, and we say when a transaction begins."""
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        connection.execute("PRAGMA journal_mode = WAL")


def _begin_sqlite(connection: sa.Connection) -> None:
    """A writer takes the lock at once: one that reads first and then writes could find the file changed in between."""
    writes = connection.get_execution_options().get("everfit_writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

"""One question to a database, at any SQLAlchemy address: its rows as Arrow batches.

No message shows an address with its password.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError

from components.errors import DataError, PassingFault, ProjectFileError

# Rows fetched from a database at once: bounds the Python objects held beside the Arrow batch.
FETCHED_ROWS = 50_000
TABLE = re.compile(r"[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*)?")


@dataclass(frozen=True, slots=True)
class Query:
    """What to ask of which database.

    Attributes:
        url: SQLAlchemy address; may hold a password.
        text: One SELECT, or the name of a table.
        database: What messages call the database.
        asked_by: What messages call the place where the query stands.
    """

    url: str = field(repr=False)
    text: str
    database: str
    asked_by: str

    @property
    def statement(self) -> str:
        """The SELECT."""
        text = self.text.strip().rstrip(";")
        return f"SELECT * FROM {text}" if TABLE.fullmatch(text) else text  # noqa: S608 - whoever asks owns the database

    def count(self) -> int:
        """How many rows the query has.

        Raises:
            DataError: If the database refuses the query.
            PassingFault: If the database cannot be reached.
        """
        with self._connected() as connection:
            counted = f"SELECT COUNT(*) FROM ({self.statement}) AS asked"  # noqa: S608 - as above
            return int(connection.exec_driver_sql(counted).scalar_one())

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The query's rows, fetched as they are taken; each batch has the types that its own values show.

        Raises:
            DataError: If the database refuses the query.
            PassingFault: If the database cannot be reached.
        """
        with self._connected() as connection:
            result = connection.exec_driver_sql(self.statement)
            names = list(result.keys())
            for rows in result.partitions(FETCHED_ROWS):
                frame = pl.DataFrame([tuple(row) for row in rows], schema=names, orient="row", infer_schema_length=None)
                yield from frame.to_arrow().to_batches()

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        engine = self._engine()
        try:
            with self._connect(engine) as connection:
                yield connection
        except DBAPIError as err:
            if err.connection_invalidated:
                raise self._unreachable(err) from err
            raise DataError(
                f"the query of {self.asked_by} must run, but the database says: {err.orig}; correct {self.text!r}"
            ) from err
        finally:
            engine.dispose()

    def _engine(self) -> sa.Engine:
        try:
            return sa.create_engine(with_driver(self.url))
        except (ArgumentError, NoSuchModuleError, ImportError) as err:  # ImportError: the database's driver
            raise ProjectFileError(
                f"wanted a SQLAlchemy URL of an installed driver in {self.database}, found another thing "
                f"({type(err).__name__}); correct {self.database}, or install the driver"
            ) from None  # the error's own text may hold the password

    def _connect(self, engine: sa.Engine) -> sa.Connection:
        try:
            # The text as it stands: a colon or a percent sign in it is no parameter.
            return engine.connect().execution_options(stream_results=True, no_parameters=True)
        except OperationalError as err:
            raise self._unreachable(err) from err

    def _unreachable(self, err: DBAPIError) -> PassingFault:
        return PassingFault(
            f"wanted the database of {self.database} to answer, but it said: {err.orig}; see that it runs, and try "
            "again"
        )


def with_driver(url: str) -> sa.URL:
    """The address, with the driver that is installed here where it names none."""
    made = sa.make_url(url)
    return made.set(drivername="postgresql+psycopg") if made.drivername in {"postgresql", "postgres"} else made


def without_password(url: str) -> str:
    """The address as messages may show it.

    Raises:
        ProjectFileError: If it is no address.
    """
    try:
        return sa.make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        raise ProjectFileError(
            "wanted a SQLAlchemy address such as sqlite:///file.db or postgresql://host/database, found another thing; "
            "correct it"
        ) from None  # the error's own text holds the address

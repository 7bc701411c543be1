"""Weather in March is no alarm in April, this year or the next; what changed beside the season still is one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from deltalake import write_deltalake

from components.data.baselines import baseline
from components.monitoring.measure import measure
from components.records.models import ModelFiles
from components.records.watching import Window, WindowFacts
from components.settings.project import Project
from tests.components.monitoring.made import answered, files_of, project

BEGIN = datetime(2011, 1, 1, tzinfo=UTC)
HOURS = 3 * 365 * 24
FOUR_WEEKS = timedelta(days=28)
# From this share of drifted columns on a window is breached.
LIMIT = 0.3


def weather(seed: int = 1) -> pl.DataFrame:
    """Three years of weather, an hour a row: cold and windy winters, days that are like the day before, and routes."""
    rng = np.random.default_rng(seed)
    days = np.arange(HOURS) / 24
    spell = np.zeros(HOURS // 24)
    for day in range(1, spell.size):
        spell[day] = 0.7 * spell[day - 1] + rng.normal(0, 2)
    season = -np.cos(2 * np.pi * days / 365.25)
    return pl.DataFrame(
        {
            "at": [BEGIN + timedelta(hours=hour) for hour in range(HOURS)],
            "temp": 12 + 12 * season + 4 * np.sin(2 * np.pi * days) + np.repeat(spell, 24) + rng.normal(0, 1, HOURS),
            "wind": rng.gamma(2, 3, HOURS) * (1 - 0.4 * season),
            "origin": rng.choice(["EWR", "JFK", "LGA"], HOURS),
            "tail": rng.integers(0, 4_000, HOURS).astype(str),
        }
    )


@pytest.fixture
def version(tmp_path: Path) -> ModelFiles:
    """A version that learned from the first winter of 2013, and the table of the years before."""
    files = files_of(tmp_path)
    rows = weather()
    winter = pl.col("at").is_between(datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 3, 20, tzinfo=UTC))
    rows.filter(winter).sample(1_500, seed=1).sort("at").write_parquet(files.reference)
    write_deltalake(tmp_path / "tables", rows.filter(pl.col("at") < datetime(2013, 1, 1, tzinfo=UTC)))
    return files


def facts_of(window: Window, files: ModelFiles, policy: Project, *, warmer: float = 0.0) -> WindowFacts:
    """The facts of one window, as the monitor would measure it."""
    folder = files.graph.parent
    live = weather().filter(pl.col("at") >= window.start, pl.col("at") < window.end)
    frame = answered(live.with_columns(temp=pl.col("temp") + warmer), labelled=0)
    beside = baseline(policy, files.schema, window, ledger=folder / "ledger", tables=folder / "tables")
    return measure(frame, files, policy, window, workspace=None, out=None, baseline=beside)


def policy(reference: str) -> Project:
    """Four weeks of hours are 672 rows; weather moves by a quarter of its spread in most of them."""
    return project(reference=reference, drift_threshold=0.25, trigger={"min_rows": 500, "drift_share": LIMIT})


def test_april_is_an_alarm_beside_the_winter_and_none_beside_last_april(version: ModelFiles):
    """The table of the years before knows what April is like, so the ledger need not."""
    april = Window(datetime(2013, 4, 1, tzinfo=UTC), datetime(2013, 4, 29, tzinfo=UTC))

    winter, season = (facts_of(april, version, policy(name)) for name in ("training", "same-season"))

    assert (winter.reference, winter.drifted_columns, winter.drift_share) == ("training", ("temp", "wind"), 0.5)
    assert season.reference == "same-season"
    assert season.drift_share < LIMIT


def test_over_a_whole_year_no_season_is_an_alarm_and_a_warmer_world_is_one(version: ModelFiles):
    """Thirteen windows of four weeks: beside the winter half are breached, beside their own season none is."""
    starts = [datetime(2013, 1, 1, tzinfo=UTC) + number * FOUR_WEEKS for number in range(13)]
    windows = [Window(start, start + FOUR_WEEKS) for start in starts]

    shares = {
        name: [facts_of(window, version, policy(name)).drift_share for window in windows]
        for name in ("training", "same-season")
    }
    warmer = facts_of(windows[5], version, policy("same-season"), warmer=9)

    assert sum(share >= LIMIT for share in shares["training"]) >= 6
    assert all(share < LIMIT for share in shares["same-season"])
    assert warmer.prediction_drifted
    assert "temp" in warmer.drifted_columns


def test_before_there_is_a_season_the_training_rows_are_taken_and_that_is_said(version: ModelFiles):
    """A window of the table's first year has no year before it."""
    first = Window(BEGIN + timedelta(days=90), BEGIN + timedelta(days=118))

    found = facts_of(first, version, policy("same-season"))

    assert found.reference == "training"
    assert found.drift_share == 0.5

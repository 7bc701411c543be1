"""`everfit backtest`: policies replayed over a raw table and over what was logged; and what stops it, as sentences."""

import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from components.data.sources import read_source
from components.errors import DataError, SchemaMismatch
from components.records.models import ModelFiles
from components.registry import fetching, tracking, versions
from components.settings.project import Project
from components.settings.reading import load_project
from flows.backtest_table import print_backtest
from flows.backtesting.past import raw_past
from tests.components.monitoring.test_backtests import backtest
from tests.flows.harness import Harness
from tests.flows.plain import Plain
from tests.flows.small import BEGIN, NAME, write_project
from tests.flows.test_cli import everfit

DAY = timedelta(days=1)
EAGER = """
monitoring:
  window: 4d
  cooldown: 1h
  trigger: {windows: 1, of: 1, min_rows: 100, drift_share: 0.01, min_labelled_rows: 100, broken_share: 0.9}
  drift_threshold: 0.01
  retrain: {judge_days: 1, validation_days: 1}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The small project."""
    return load_project(write_project(tmp_path))


def flights(folder: Path, last: str) -> Path:
    """A Parquet file of January's flights up to a day."""
    project = load_project(write_project(folder))
    source = project.data.source.model_copy(update={"init_args": {"first": "2013-01-01", "last": last}})
    path = folder / "flights.parquet"
    read_source(project.data.model_copy(update={"source": source}), folder).write_parquet(path)
    return path


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_policy_is_replayed_over_a_raw_table(tmp_path: Path):
    """Two windows: never retrains nothing, every window all, and each policy says in each window what it does."""
    project_file, table = write_project(tmp_path), flights(tmp_path, "2013-01-25")
    eager, calm = tmp_path / "eager.yaml", tmp_path / "calm.yaml"
    eager.write_text(EAGER)
    calm.write_text(EAGER.replace("drift_share: 0.01", "drift_share: null, max_quality_loss: null"))
    options = ["--source", str(table), "--begin", "2013-01-19", "--label-delay", "1d"]
    policies = ["--policy", str(eager), "--policy", str(calm), "--output", str(tmp_path / "out")]

    said = Plain(tmp_path / "home", project_file).run("backtest", *options, *policies)

    found = json.loads((tmp_path / "out" / "backtest.json").read_text())
    tallies = {one["name"]: one for one in found["tallies"]}
    assert list(tallies) == ["never", "every window", "eager", "calm"]
    assert [len(found["windows"]), found["label_delay_hours"]] == [2, 24]
    assert (tallies["never"]["retrainings"], tallies["never"]["gain"]) == (0, 0)
    assert [tallies[name]["retrainings"] for name in ("every window", "eager", "calm")] == [2, 2, 0]
    assert tallies["calm"]["quality"] == tallies["never"]["quality"]
    for one in tallies.values():
        assert one["true"] + one["false"] + one["open"] == one["retrainings"]
        assert one["promotions"] + one["rejections"] + one["inconclusive"] + one["failed"] == one["retrainings"]
        assert 0.5 < one["quality"] < 0.9
    # Whoever asks at the same moment, with the same champion, gets the same model and the same verdict.
    first = [found["replays"][name][0]["trial"] for name in ("every window", "eager")]
    assert first[0] == first[1]
    assert first[0]["seconds"] > 0
    assert re.search(r"2013-01-19\.\.2013-01-23 retrain \(.*; in hindsight (true|false|open)\): yes, because", said), (
        said
    )
    assert "eager, window by window" in (tmp_path / "out" / "backtest.html").read_text()


@pytest.fixture(scope="module")
def champion(live: Harness) -> ModelFiles:
    """The champion that the stack's registry knows."""
    tracking.connect(live.environment)
    found = versions.champion(NAME)
    assert found is not None
    return fetching.fetch(found, live.environment.cache())


@pytest.mark.slow
@pytest.mark.stack
@pytest.mark.xdist_group("stack")
@pytest.mark.timeout(600)
def test_what_was_logged_is_replayed_from_the_version_that_answered(
    live: Harness, champion: ModelFiles, tmp_path: Path
):
    """The ledger's rows are the past, its first version the model that never is; what was served stands beside it."""
    plain = Plain(tmp_path / "home", live.project.file, live.environment.tracking)
    rows = plain.receive(BEGIN, 4 * DAY, champion)

    plain.run("backtest", "--label-delay", "1d", "--output", str(tmp_path / "out"))

    found = json.loads((tmp_path / "out" / "backtest.json").read_text())
    tallies = {one["name"]: one for one in found["tallies"]}
    assert list(tallies) == ["never", "every window", "the project's", "as it was"]
    assert found["replays"]["never"][0]["live"] == champion.version.version
    assert sum(score["rows"] for score in tallies["never"]["scores"]) == rows
    # What stands in this ledger was answered with 0.2 throughout: no better than chance, unlike the version itself.
    assert tallies["as it was"]["quality"] == 0.5
    assert tallies["never"]["quality"] > 0.55


def test_the_table_fits_into_80_characters():
    """With each decision on a line of its own above it, which the terminal may break."""
    console = Console(width=80, record=True, file=io.StringIO())

    print_backtest(backtest(), console)

    told = console.export_text()
    table = told.partition("Policies for made")[2].partition("windows of")[0].splitlines()[:-1]
    assert max(map(len, table)) <= 80
    assert re.search(r"weekly +0\.7750 +\+0\.1750 +2 +1/1/0 +1/0/1 +0 +0\.0 +1", told)
    assert "2024-01-01..2024-01-08 retrain (promoted; in hindsight true): yes, because" in told


def test_a_mistake_in_a_policy_is_told_before_anything_starts(tmp_path: Path):
    """With its line and the nearest right name."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("monitoring:\n  cooldwn: 3d\n")

    done = everfit("backtest", str(write_project(tmp_path)), "--policy", str(policy), home=tmp_path / "home")

    assert done.returncode == 1
    assert "policy.yaml:2: monitoring.cooldwn is not a setting; did you mean cooldown?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_delay_that_is_none_is_a_sentence(tmp_path: Path):
    """It says how one is written."""
    done = everfit("backtest", str(write_project(tmp_path)), "--label-delay", "soon", home=tmp_path / "home")

    assert done.returncode == 1
    assert "--label-delay: wanted a duration such as 30s, 15m, 12h, 7d or 2w, found 'soon'" in done.stderr


def test_a_raw_table_needs_a_beginning(project: Project, tmp_path: Path):
    """Without one nobody knows what the first model learns from; the message says what there is."""
    with pytest.raises(DataError, match="found no --begin; its rows reach from 2013-01-01 to 2013-01-"):
        raw_past(project, tmp_path, source=None, begin=None, label_delay=None)


@pytest.mark.parametrize("begin", [datetime(2012, 12, 31, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC)])
def test_a_beginning_outside_of_the_rows_is_refused(begin: datetime, project: Project, tmp_path: Path):
    """Before the first row there is nothing to learn from, after the last nothing to answer."""
    with pytest.raises(DataError, match=f"reach from 2013-01-01 to 2013-01-.*, but --begin is {begin:%Y-%m-%d}"):
        raw_past(project, tmp_path, source=None, begin=begin, label_delay=None)


def test_a_table_without_the_timestamp_is_refused(project: Project, tmp_path: Path):
    """The column that is wanted is named."""
    pl.DataFrame({"late": [0, 1], "flight_id": ["a", "b"]}).write_parquet(tmp_path / "bare.parquet")

    with pytest.raises(SchemaMismatch, match="column 'scheduled_departure' is wanted, but not there"):
        raw_past(project, tmp_path, source=str(tmp_path / "bare.parquet"), begin=BEGIN, label_delay=None)


def test_a_source_that_is_none_is_refused(project: Project, tmp_path: Path):
    """It is neither a path that exists nor a class."""
    with pytest.raises(DataError, match=r"--source wants a Parquet file.*found 'no/such.parquet'"):
        raw_past(project, tmp_path, source="no/such.parquet", begin=BEGIN, label_delay=None)


def test_rows_before_the_beginning_are_kept_apart(project: Project, tmp_path: Path):
    """They train the first model; the others are the traffic, each with the label that came some time."""
    past = raw_past(project, tmp_path, source=None, begin=datetime(2013, 1, 15, tzinfo=UTC), label_delay=DAY)

    base, rows = pl.read_parquet(past.base), pl.read_parquet(past.rows)
    moment = project.data.timestamp
    assert base[moment].max() < past.begin <= rows[moment].min()
    assert project.data.target.column not in rows.columns
    assert set(rows["label"].unique()) == {0, 1, None}
    assert past.project(project).data.source.init_args == {"path": str(past.base)}

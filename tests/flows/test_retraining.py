"""A retraining as the project asks for it: which rows it learns from, with whose weights it begins, what it says."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from mlflow import MlflowClient

from components.data.schema import infer_schema
from components.data.tables import ingest, read_table
from components.records.models import Beginning, Lineage
from components.registry import tracking
from components.registry.learned import REASON, STARTED, TRAINED_FROM, TRAINED_UNTIL, WINDOW
from components.settings.environment import Environment
from components.settings.monitoring import RetrainSettings
from components.settings.project import Project
from components.settings.reading import load_project
from flows.tasks import building
from tests.components.data.rides import BEGIN, project, rides
from tests.flows.harness import another_registry
from tests.flows.plain import Plain
from tests.flows.small import NAME, YAML, write_project

RETRAIN = "{window: sliding, length: 10d, start: champion, judge_days: 1, validation_days: 1}"


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of rides whose retrainings slide over ten days, in a home folder of its own."""
    monkeypatch.setenv("EVERFIT_HOME", str(tmp_path / "home"))
    retrain = RetrainSettings(window="sliding", length="10d", judge_days=1, validation_days=1)
    made = project(tmp_path, rides())
    return made.model_copy(update={"monitoring": made.monitoring.model_copy(update={"retrain": retrain})})


def origin(asked: Project, *, is_retraining: bool) -> Lineage:
    """Where a version comes from."""
    return Lineage(asked.file, asked.sha256, "c0ffee", is_retraining=is_retraining)


def test_only_a_retraining_is_divided_as_the_retraining_is_asked_for(asked: Project, tmp_path: Path):
    """`train` learns from all rows and keeps back the project's own days; a retraining slides, and has its own days."""
    table = ingest(asked, tmp_path / "table")
    schema = infer_schema(read_table(table), asked.data)

    first = building.split.fn(table, schema, asked, origin(asked, is_retraining=False))
    again = building.split.fn(table, schema, asked, origin(asked, is_retraining=True))

    assert (first.train.first, first.test.rows) == (BEGIN, 72)
    assert (again.train.first, again.validation.rows, again.test.rows) == (BEGIN + timedelta(hours=160), 24, 24)


def test_a_training_that_is_no_retraining_begins_with_chance(asked: Project):
    """Also where retrainings begin with the champion: nothing is asked of the registry, and no reason is needed."""
    retrain = asked.monitoring.retrain.model_copy(update={"start": "champion"})
    eager = asked.model_copy(update={"monitoring": asked.monitoring.model_copy(update={"retrain": retrain})})

    found = building.begin_with.fn(eager, None, SimpleNamespace(), origin(eager, is_retraining=False))

    assert found == Beginning()


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Plain]:
    """A home folder without servers, whose registry is asked here, too."""
    made = Plain(tmp_path / "home", write_project(tmp_path / "project"))
    with another_registry():
        tracking.connect(Environment(home=made.home, tracking_uri=None))
        yield made


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_retraining_goes_on_from_the_champion_with_the_newest_rows(plain: Plain):
    """Two versions on one machine without servers: the second says which days it knows, and with what it began."""
    plain.run("train")
    text = YAML.replace("last: 2013-01-18", "last: 2013-01-25").replace("{judge_days: 1, validation_days: 1}", RETRAIN)
    plain.project_file.write_text(text)
    plain.run("retrain")

    first, second = _tags(1), _tags(2)
    assert (first[STARTED], first[WINDOW]) == ("scratch", "all rows")
    assert REASON not in first
    assert (second[STARTED], second[WINDOW]) == ("version 1", "the newest 10 days")
    last = pl.read_parquet(_part(plain, "test"))["scheduled_departure"].max()
    assert isinstance(last, datetime)
    since, until = (datetime.fromisoformat(second[name]) for name in (TRAINED_FROM, TRAINED_UNTIL))
    assert since > last - timedelta(days=10)
    assert datetime(2013, 1, 23, tzinfo=UTC) < until < last - timedelta(days=2) + timedelta(minutes=1)
    assert load_project(plain.project_file).monitoring.retrain.start == "champion"
    described = MlflowClient().get_model_version(NAME, "2").description
    assert "**Learned** from the newest 10 days, beginning with the weights of version 1." in described


def _tags(number: int) -> dict[str, str]:
    tags: dict[str, str] = MlflowClient().get_model_version(NAME, str(number)).tags
    return tags


def _part(plain: Plain, name: str) -> Path:
    (found,) = plain.home.glob(f"work/{NAME}/runs/all-retrain-manual-*/split/{name}.parquet")
    return found

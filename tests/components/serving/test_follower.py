"""The follower answers with what it remembers, then with what the registry says; what fails leaves the old one."""

import weakref
from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.records.models import ModelVersion
from components.registry.fetching import fetch
from components.registry.opening import remember_champion
from components.registry.registering import register
from components.registry.tracking import connect
from components.serving.counters import Counters
from components.serving.follower import Follower
from components.settings.environment import Environment
from components.settings.project import Project
from components.settings.reading import load_project
from tests.components.serving import tiny
from tests.components.serving.conftest import Registry, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.slow]


def environment_of(registry: Registry, folder: Path) -> Environment:
    """A home of its own beside the registry that runs."""
    registry.wait()
    environment = Environment(home=folder / "home", tracking_uri=registry.address)
    connect(environment)
    return environment


def registered(project: Project, folder: Path, bias: float) -> ModelVersion:
    """A version with that bias."""
    folder.mkdir()
    fitted, workshop = tiny.fitted(folder), tiny.workshop(bias, folder)
    return register(project, tiny.lineage(project), tiny.split(folder), fitted, workshop, tiny.scorecard())


def following(name: str, environment: Environment, counters: Counters | None = None) -> Follower:
    """A follower that has not looked yet."""
    counters = counters or Counters()
    return Follower(
        name, cache=environment.cache(), max_rows=9, poll_seconds=60, counters=counters, environment=environment
    )


def live_version(follower: Follower) -> ModelVersion | None:
    """The version that answers."""
    return follower.live.predictor.version if follower.live else None


def test_the_remembered_champion_answers_at_once_and_is_corrected_at_the_first_look(registry: Registry, tmp_path: Path):
    """A worker that comes back does not wait for MLflow, and is soon on the version that took over meanwhile."""
    environment = environment_of(registry, tmp_path)
    project = load_project(tiny.write_project(tmp_path, "remembers"))
    old, new = (registered(project, tmp_path / str(bias), bias) for bias in (0.0, 1.0))
    fetch(old, environment.cache())
    remember_champion(old, environment.cache())
    registry.point(new)
    follower = following("remembers", environment)

    follower.start(wait_seconds=0)
    at_once = live_version(follower)
    wait_for(lambda: live_version(follower) == new, seconds=30, why=lambda: follower.last_error)
    follower.stop()

    assert at_once == old
    assert follower.last_error == ""


def test_a_remembered_champion_that_the_cache_has_lost_is_fetched_at_once(registry: Registry, tmp_path: Path):
    """Someone made room on the disk; the worker begins as a new one does, without a rest."""
    environment = environment_of(registry, tmp_path)
    project = load_project(tiny.write_project(tmp_path, "lost"))
    version = registered(project, tmp_path / "one", 0.0)
    remember_champion(version, environment.cache())
    registry.point(version)
    follower = following("lost", environment)

    follower.start(wait_seconds=30)
    found = live_version(follower)
    follower.stop()

    assert (found, follower.last_error) == (version, "")


def test_an_alias_set_by_hand_is_no_challenger(registry: Registry, tmp_path: Path):
    """The champion answers alone, and /model says what to do."""
    environment = environment_of(registry, tmp_path)
    project = load_project(tiny.write_project(tmp_path, "by-hand"))
    first, second = (registered(project, tmp_path / str(bias), bias) for bias in (0.0, 1.0))
    registry.point(first)
    MlflowClient().set_registered_model_alias("by-hand", "challenger", str(second.version))
    follower = following("by-hand", environment)

    follower.look()

    assert live_version(follower) == first
    assert follower.challenger is None
    facts = follower.challenger_facts()
    assert facts is not None
    assert (facts["version"], facts["is_asked"]) == (None, False)
    assert "remove the alias challenger in MLflow" in facts["last_reason"]


def test_with_nothing_remembered_it_starts_after_the_first_look(registry: Registry, tmp_path: Path):
    """The first request of a new worker finds the champion loaded."""
    environment = environment_of(registry, tmp_path)
    project = load_project(tiny.write_project(tmp_path, "first-look"))
    version = registered(project, tmp_path / "one", 0.0)
    registry.point(version)
    follower = following("first-look", environment)

    follower.start(wait_seconds=30)
    found = live_version(follower)
    follower.stop()

    assert found == version


def test_a_remembered_champion_whose_bytes_changed_does_not_answer(tmp_path: Path):
    """Bytes are compared at each start; with no registry to ask, nothing answers, and why is said."""
    environment = Environment(home=tmp_path / "home", tracking_uri="http://127.0.0.1:9")
    folder = environment.cache() / "tampered" / "3"
    folder.mkdir(parents=True)
    files = tiny.packed(folder, tiny.graph(0.0, folder / "model.onnx"), name="tampered")
    remember_champion(files.version, environment.cache())
    tiny.graph(1.0, files.graph)
    follower = following("tampered", environment)

    follower.start(wait_seconds=30)
    follower.stop()

    assert follower.live is None
    assert "version 3 was not taken" in follower.last_error
    assert "model.onnx with sha256" in follower.last_error


def test_nothing_of_a_version_stays_in_memory_once_another_took_over(registry: Registry, tmp_path: Path):
    """Each session is some megabytes; a worker that follows for months must not gather them."""
    environment = environment_of(registry, tmp_path)
    project = load_project(tiny.write_project(tmp_path, "forgets"))
    versions = [registered(project, tmp_path / str(bias), bias) for bias in (0.0, 1.0, 2.0)]
    follower = following("forgets", environment)

    taken = []
    for number in range(9):
        registry.point(versions[number % 3])
        follower.look()
        assert follower.live is not None
        assert live_version(follower) == versions[number % 3]
        taken.append(weakref.ref(follower.live.predictor))

    assert [one() is not None for one in taken] == [False] * 8 + [True]

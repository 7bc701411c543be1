"""A version's files come once, are checked each time, and are there when the registry is not."""

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import mlflow
import polars as pl
import pytest
from mlflow import MlflowClient

from components.errors import ModelRefused, PassingFault
from components.records.models import ModelFiles
from components.registry import packing
from components.registry.fetching import fetch
from components.registry.opening import last_champion, remember_champion

NOWHERE = "http://127.0.0.1:9"


def take_down() -> None:
    """Point MLflow at a port that nobody listens on."""
    mlflow.set_tracking_uri(NOWHERE)
    mlflow.set_registry_uri(NOWHERE)


@pytest.fixture
def files(server, registered, tmp_path: Path) -> ModelFiles:
    """The version's files, fetched into an empty cache."""
    return fetch(registered[1], tmp_path / "cache")


def test_fetched_files_are_the_registered_ones(files: ModelFiles, registered):
    """Graph, schema, reference, metrics and hash of the project file arrive as they were registered."""
    made, version = registered

    assert files.version == version
    assert files.graph.read_bytes() == made.variant.path.read_bytes()
    assert files.schema == made.split.schema
    assert pl.read_parquet(files.reference).equals(pl.read_parquet(made.split.reference.path))
    assert files.metrics == made.scorecard.metrics
    assert files.config_sha256 == made.project.sha256
    assert {file.name for file in files.graph.parent.iterdir()} == {*packing.PACKED, packing.MANIFEST}


def test_a_cached_version_is_served_while_the_registry_is_down(files: ModelFiles, registered, tmp_path: Path):
    """The cache is asked first; what is not in it is a passing fault."""
    take_down()

    assert fetch(registered[1], tmp_path / "cache") == files

    with pytest.raises(PassingFault, match="wanted the files of version 1 of read-only"):
        fetch(registered[1], tmp_path / "other-cache")


@pytest.mark.parametrize("name", packing.PACKED)
def test_a_file_that_was_changed_in_the_cache_is_refused(files: ModelFiles, registered, tmp_path: Path, name: str):
    """The message names the file, the hash it should have and the one it has, and what to do."""
    file = files.graph.parent / name
    wanted = packing.file_sha256(file)
    file.write_bytes(file.read_bytes() + b" ")
    found = packing.file_sha256(file)

    with pytest.raises(ModelRefused, match=rf"wanted {file} with sha256 {wanted}, found {found}; delete {file.parent}"):
        fetch(registered[1], tmp_path / "cache")


def test_a_file_that_is_missing_in_the_cache_is_refused(files: ModelFiles, registered, tmp_path: Path):
    """A folder without its graph, or without its manifest, is not taken."""
    files.graph.unlink()
    with pytest.raises(ModelRefused, match=r"model.onnx with sha256 .*, found no file"):
        fetch(registered[1], tmp_path / "cache")

    (files.graph.parent / packing.MANIFEST).unlink()
    with pytest.raises(ModelRefused, match="wanted the manifest"):
        fetch(registered[1], tmp_path / "cache")


@pytest.mark.parametrize("name", ["extra.pkl", "weights.PT", "last.ckpt"])
def test_a_file_that_can_run_code_is_refused(files: ModelFiles, registered, tmp_path: Path, name: str):
    """A pickle in the cache is refused by its name, before anything is loaded."""
    (files.graph.parent / name).write_bytes(b"")

    with pytest.raises(ModelRefused, match=f"{name}, which can run code"):
        fetch(registered[1], tmp_path / "cache")


def artifacts(version) -> Path:
    """Where the server keeps the version's files."""
    location = MlflowClient().get_model_version_download_uri(version.name, str(version.version))
    root = Path(os.environ["EVERFIT_TEST_ARTIFACTS"])
    return root / location.removeprefix("mlflow-artifacts:/")


def test_a_version_that_was_changed_on_the_server_is_refused(server, make, tmp_path: Path):
    """Whoever can write to the artifact store cannot bring in another graph, another manifest or a pickle."""
    version = make("tampered").register()
    folder = artifacts(version)
    graph, manifest = folder / packing.GRAPH, folder / "extra_files" / packing.MANIFEST
    good = graph.read_bytes()
    (folder / "helper.pkl").write_bytes(b"")
    with pytest.raises(ModelRefused, match=r"found helper.pkl, which can run code"):
        fetch(version, tmp_path / "cache")
    (folder / "helper.pkl").unlink()
    graph.write_bytes(good + b" ")
    with pytest.raises(ModelRefused, match=f"model.onnx with sha256 {version.sha256}"):
        fetch(version, tmp_path / "cache")

    manifest.write_text(manifest.read_text().replace(version.sha256, packing.file_sha256(graph)))
    with pytest.raises(ModelRefused, match=r"wanted manifest.json with sha256 .* as the version's tag says"):
        fetch(version, tmp_path / "cache")

    assert not any((tmp_path / "cache" / "tampered").iterdir())


def test_a_version_of_a_registry_that_was_reset_is_fetched_again(files: ModelFiles, server, make, tmp_path: Path):
    """A cache from an earlier registry with the same numbers is replaced, not served."""
    version = make("reset").register()
    old = tmp_path / "cache" / "reset" / "1"
    old.parent.mkdir()
    shutil.copytree(files.graph.parent, old)

    fetched = fetch(version, tmp_path / "cache")

    assert packing.file_sha256(fetched.graph) == version.sha256
    assert fetched.version == version
    assert [item.name for item in old.parent.iterdir()] == ["1"]


def test_workers_that_fetch_at_the_same_time_do_not_collide(server, registered, tmp_path: Path):
    """Eight at once get the same whole files, and leave nothing else behind."""
    cache = tmp_path / "cache"

    with ThreadPoolExecutor(8) as pool:
        fetched = list(pool.map(lambda _: fetch(registered[1], cache), range(8)))

    assert fetched == fetched[:1] * 8
    assert [item.name for item in (cache / "read-only").iterdir()] == ["1"]


def test_what_a_killed_download_left_is_swept(server, registered, tmp_path: Path):
    """A folder of an hour ago is removed, one of now is somebody's."""
    home = tmp_path / "cache" / "read-only"
    for name, age in ((".fetching-old", 7200), (".fetching-now", 0)):
        (home / name).mkdir(parents=True)
        os.utime(home / name, (time.time() - age, time.time() - age))

    fetch(registered[1], tmp_path / "cache")

    assert sorted(item.name for item in home.iterdir()) == [".fetching-now", "1"]


def test_the_last_champion_is_remembered_without_a_registry(server, registered, tmp_path: Path):
    """A service that starts while the registry is down knows which version took over last."""
    assert last_champion("read-only", tmp_path) is None

    remember_champion(registered[1], tmp_path)
    newer = replace(registered[1], version=2)
    remember_champion(newer, tmp_path)
    take_down()

    assert last_champion("read-only", tmp_path) == newer
    assert [item.name for item in (tmp_path / "read-only").iterdir()] == ["champion.json"]


def test_a_damaged_note_of_the_champion_is_no_champion(tmp_path: Path, caplog):
    """The service then waits for the registry instead of failing."""
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "champion.json").write_text("{")

    assert last_champion("x", tmp_path) is None

    assert "last champion not readable" in caplog.text

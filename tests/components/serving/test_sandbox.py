"""A candidate is loaded by the real server before it may be promoted; what fails there fails with its reason."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import polars as pl
import psutil
import pytest
from onnx import TensorProto, helper, numpy_helper

from components.records.models import ModelFiles
from components.records.rows import Part, Schema
from components.records.scores import Rule
from components.serving.keys import new_key
from components.serving.sandbox import try_out
from components.settings.environment import Environment
from tests.components.serving import tiny
from tests.components.serving.conftest import NAME, wait_for

ROOT = Path(__file__).parents[3]
ROWS = 12

Try = Callable[[ModelFiles], Rule]


@pytest.fixture
def project_file(tmp_path: Path) -> Path:
    """A project whose source cannot be imported."""
    return tiny.write_project(tmp_path, NAME)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Where the real things would stand."""
    return Environment(home=tmp_path / "home")


@pytest.fixture
def part(tmp_path: Path) -> Part:
    """Real rows with missing numbers and unseen categories; the wind of the first is below all of the reference."""
    folder = tmp_path / "part"
    folder.mkdir()
    part = tiny.split(folder).test
    frame = pl.read_parquet(part.path)
    winds = pl.Series("wind speed", [-5.0, *frame["wind speed"].to_list()[1:]])
    frame.with_columns(winds).write_parquet(part.path)
    return part


@pytest.fixture
def attempt(project_file: Path, environment: Environment, part: Part) -> Try:
    """The trial of a version."""
    return lambda files: try_out(files, project_file, environment, part, rows=ROWS)


@pytest.fixture
def candidate(tmp_path: Path) -> ModelFiles:
    """A good version."""
    return version(tmp_path, lambda file: file)


def version(tmp_path: Path, change: Callable[[Path], Path], schema: Schema = tiny.SCHEMA) -> ModelFiles:
    """A version with the tiny model, changed."""
    folder = tmp_path / "cache" / NAME / "3"
    folder.mkdir(parents=True)
    file = change(tiny.graph(0.0, folder / "model.onnx"))
    return tiny.packed(folder, file, schema, name=NAME)


def test_a_good_version_passes_and_leaves_nothing_behind(candidate: ModelFiles, attempt: Try, environment: Environment):
    """The real server answers as the graph does; ledger, registry and processes are as before."""
    rule = attempt(candidate)

    assert rule.passed, rule.detail
    assert rule.name == "sandbox"
    assert "12 rows in 5 requests, largest difference 0 (allowed 1e-05), ready after" in rule.detail
    assert not environment.folder.exists()
    assert not servers(os.getpid())


def test_keys_and_limits_of_the_endpoint_hold_no_candidate_up(
    candidate: ModelFiles, attempt: Try, project_file: Path, monkeypatch: pytest.MonkeyPatch
):
    """They are for others: the sandbox has no keys to lose, and is asked as fast as it answers."""
    text = project_file.read_text().replace("serving: {", "serving: {limits: {requests_per_second: 0.01, burst: 1}, ")
    project_file.write_text(text)
    monkeypatch.setenv("EVERFIT_API_KEYS", new_key("shop", ["predict"])[1].line())

    rule = attempt(candidate)

    assert rule.passed, rule.detail


def test_a_version_whose_file_was_changed_fails(candidate: ModelFiles, attempt: Try):
    """The server refuses what its manifest does not vouch for, and the rule says so."""
    tiny.graph(1.0, candidate.graph)

    rule = attempt(candidate)

    assert not rule.passed
    assert "it is not ready (503)" in rule.detail
    assert f"with sha256 {candidate.version.sha256}, found" in rule.detail
    assert not servers(os.getpid())


def test_another_version_in_its_place_fails(candidate: ModelFiles, attempt: Try):
    """A folder that is whole in itself is still not the version that was judged."""
    rule = attempt(replace(candidate, version=replace(candidate.version, sha256="d" * 64)))

    assert not rule.passed
    assert f"it loaded the graph {candidate.version.sha256}, and {'d' * 64} was registered" in rule.detail


def test_a_version_without_an_answer_to_some_rows_fails(tmp_path: Path, attempt: Try):
    """The reference rows are all right, so the server takes it; a real row then gets a refusal."""
    root = helper.make_node("Sqrt", ["wind speed"], ["root"])
    files = version(tmp_path, lambda file: tiny.changed_graph(file, root, takes="wind speed", into="score"))

    rule = attempt(files)

    assert not rule.passed
    assert "a request of 1 rows was answered with 422" in rule.detail
    assert "no finite answer" in rule.detail


def test_a_version_that_breaks_on_some_rows_fails_with_the_end_of_the_log(tmp_path: Path, attempt: Try):
    """An error inside onnxruntime is a 500 to the application; the rule tells what the log says."""
    files = version(tmp_path, _with_a_table_of_four_winds)

    rule = attempt(files)

    assert not rule.passed
    assert "was answered with 500" in rule.detail
    assert "its log ends:" in rule.detail
    assert "indices element out of data bounds" in rule.detail


def test_a_version_that_answers_differently_each_time_fails(tmp_path: Path, attempt: Try):
    """What was scored is not what would be served."""
    dice = helper.make_node("RandomUniformLike", ["wind speed"], ["dice"])
    files = version(tmp_path, lambda file: tiny.changed_graph(file, dice, takes="wind speed", into="score"))

    rule = attempt(files)

    assert not rule.passed
    assert "its answers to 1 rows differ by" in rule.detail


def test_a_server_that_is_not_ready_in_time_fails(candidate: ModelFiles, project_file: Path, part: Part):
    """Nobody waits for ever."""
    rule = try_out(candidate, project_file, Environment(start_seconds=0.01), part, rows=ROWS)

    assert not rule.passed
    assert "it was not ready within 0.01 s" in rule.detail
    assert not servers(os.getpid())


def test_a_trial_that_cannot_begin_fails(candidate: ModelFiles, environment: Environment, part: Part, tmp_path: Path):
    """Closed by default: no project, no promotion."""
    rule = try_out(candidate, tmp_path / "none.yaml", environment, part, rows=ROWS)

    assert not rule.passed
    assert "none.yaml" in rule.detail


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_every_kind_of_target_is_compared(kind: str, tmp_path: Path, attempt: Try):
    """Classes by their names, values by their size."""
    schema = replace(tiny.SCHEMA, target_kind=kind, classes=("calm", "windy") if kind == "multiclass" else ())
    files = version(tmp_path, lambda file: tiny.another_kind(file, kind), schema)

    rule = attempt(files)

    assert rule.passed, rule.detail
    assert "largest difference 0 " in rule.detail


@pytest.mark.parametrize("when", ["while it starts", "when it answers"])
def test_a_server_ends_with_a_caller_that_is_killed(when: str, candidate: ModelFiles, project_file: Path):
    """A flow that is killed in the middle of a trial leaves no server behind."""
    code = CALLER.format(cache=str(candidate.graph.parents[2]), name=NAME, project=str(project_file))
    scratch = {"TMPDIR": str(project_file.parent)}  # a killed caller leaves its folder to the system
    caller = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=os.environ | scratch)
    (server,) = wait_for(lambda: servers(caller.pid))
    if when == "when it answers":
        wait_for(lambda: psutil.Process(server).net_connections())

    caller.kill()
    caller.wait()

    wait_for(lambda: not is_alive(server), seconds=30)


# Holds the server in its sandbox until it is killed.
CALLER = """
import time
from pathlib import Path
from components.registry.opening import open_cached
from components.serving.sandbox import _serving
from components.settings.environment import Environment
with _serving(open_cached({name!r}, 3, Path({cache!r})), Path({project!r}), Environment()):
    time.sleep(100)
"""


def servers(pid: int) -> list[int]:
    """Process ids of the servers that a process holds in a sandbox."""
    return [one.pid for one in psutil.Process(pid).children() if "_bentoml_impl.worker.service" in one.cmdline()]


def is_alive(pid: int) -> bool:
    """Whether the process is there and is not only waiting to be buried."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _with_a_table_of_four_winds(file: Path) -> Path:
    """Looks the wind up in a table that ends at 3: no wind blows against it."""
    model = onnx.load(file)
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(4), "table"))
    onnx.save(model, file)
    place = helper.make_node("Cast", ["wind speed"], ["place"], to=TensorProto.INT64)
    effect = helper.make_node("Gather", ["table", "place"], ["effect"])
    return tiny.changed_graph(file, place, effect, takes="wind speed", into="score")

"""The way to MLflow: with a server, without one, and when it does not answer."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import mlflow
import pytest

from components.errors import PassingFault, ServerError
from components.registry import tracking, versions
from components.registry.fetching import fetch
from components.settings.environment import Environment
from tests.components.registry.conftest import Make

ROOT = Path(__file__).parents[3]


def run(code: str) -> str:
    """What a fresh Python prints."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_service_needs_no_onnx_to_find_and_fetch_a_version():
    """Looking up and fetching a version imports none of the heavy packages that only training needs."""
    code = "import sys, components.registry.versions, components.registry.fetching; print(*sys.modules)"

    loaded = {name.partition(".")[0] for name in run(code).split()}

    assert "mlflow" in loaded
    assert not loaded & {"torch", "onnx", "onnxruntime", "prefect", "lightning", "evidently", "bentoml", "matplotlib"}


def test_without_a_server_a_sqlite_file_does_the_same(make: Make, verdict, tmp_path: Path, monkeypatch):
    """The embedded default registers, promotes and fetches, and keeps all files under its home."""
    monkeypatch.chdir(tmp_path)
    environment = Environment(home=tmp_path / "home", tracking_uri=None)
    tracking.connect(environment)
    made = make("embedded")

    version = made.register()
    versions.promote(version, verdict, at=made.split.table.last)

    found = versions.champion("embedded")
    assert found == version
    assert fetch(found, environment.cache()).graph.read_bytes() == made.variant.path.read_bytes()
    assert not (tmp_path / "mlruns").exists()
    assert [file.name for file in environment.artifacts.iterdir()] == ["embedded"]


def test_what_a_server_kept_can_be_read_without_it(server, registered, make: Make, rejection, tmp_path: Path):
    """After `everfit down` the server's folder is read directly; writing to it waits for the server."""
    judged = make("judged").register()
    versions.reject(judged, rejection)
    kept = Path(os.environ["EVERFIT_TEST_ARTIFACTS"])
    home = tmp_path / "home"
    (home / "mlflow").mkdir(parents=True)
    (home / "mlflow" / "mlflow.db").write_bytes((kept.parent / "mlflow.db").read_bytes())
    (home / "mlflow" / "artifacts").symlink_to(kept)

    tracking.connect(Environment(home=home, tracking_uri=None))

    found = versions.version("read-only", 1)
    assert fetch(found, tmp_path / "cache").version == registered[1]
    assert versions.read_verdict(judged) == rejection
    assert versions.read_verdict(found) is None
    with pytest.raises(PassingFault, match=r"its files are kept by an MLflow server and none is in use; .*everfit up"):
        tracking.experiment_id("read-only")


def test_settings_of_the_environment_are_kept(server, monkeypatch):
    """Whoever wants MLflow to be more patient says so in the environment."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")

    tracking.connect(server)

    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"


def test_nothing_is_told_to_anyone(server, monkeypatch):
    """Connecting switches MLflow's telemetry off, also when MLflow was imported before."""
    from mlflow.telemetry import get_telemetry_client, set_telemetry_client

    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    monkeypatch.setenv("DO_NOT_TRACK", "0")
    set_telemetry_client()
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY")

    tracking.connect(server)

    assert get_telemetry_client() is None


def test_a_refusal_of_the_server_is_told_with_its_code(server):
    """What MLflow refuses is not tried again, and the message holds MLflow's own reason."""
    with (
        pytest.raises(
            ServerError, match=r"wanted an odd name from MLflow at .*, but it answered INVALID_PARAMETER_VALUE"
        ),
        tracking.reaching("an odd name"),
    ):
        mlflow.MlflowClient().create_registered_model("")


def test_training_with_the_server_down_is_a_passing_fault(server, make: Make):
    """Registering without a server says how to start one."""
    made = make("down")
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    mlflow.set_registry_uri("http://127.0.0.1:9")

    with pytest.raises(
        PassingFault, match=r"wanted a new version of down from MLflow at http://127.0.0.1:9, .*everfit up"
    ):
        made.register()


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://someone:secret@127.0.0.1:5000/x", "http://127.0.0.1:5000/x"),
        ("sqlite:////folder/mlflow.db", "sqlite:////folder/mlflow.db"),
    ],
)
def test_an_address_in_a_message_can_be_used_and_holds_no_password(uri, shown, request: pytest.FixtureRequest):
    """What a message shows is what MLflow was given, less the secret."""
    request.addfinalizer(partial(mlflow.set_tracking_uri, mlflow.get_tracking_uri()))
    mlflow.set_tracking_uri(uri)

    assert tracking.address() == shown

"""A bento holds all that a service needs: it answers wherever it is served, without the registry."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components.serving.bento import build_bento, requirements
from components.settings.reading import load_project
from tests.components.serving import tiny
from tests.components.serving.conftest import Program, free_port, get, post, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.slow]


def test_only_what_answers_requests_is_required():
    """The server's role, and nothing that trains or watches."""
    names = {line.split("<")[0].split(">")[0].split("=")[0].split("[")[0] for line in requirements()}

    assert {"bentoml", "onnxruntime", "mlflow", "uvloop", "pydantic"} <= names
    assert not names & {"torch", "lightning", "prefect", "evidently", "onnx", "pytest", "scikit-learn"}


def test_a_bento_is_built_and_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Built without a network, served from the store by its tag in an empty folder, with the project's workers."""
    (version := tmp_path / "version").mkdir()
    files = tiny.packed(version, tiny.graph(0.5, version / "model.onnx"), name="tiny-flights")
    project_file = tiny.write_project(tmp_path, "tiny-flights")
    project_file.write_text(project_file.read_text().replace("{max_rows: 50,", "{workers: 2, max_rows: 50,"))
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "bentoml"))
    for name in [name for name in os.environ if name.startswith("EVERFIT_")]:
        monkeypatch.delenv(name)

    tag = build_bento(load_project(project_file), files)

    (tmp_path / "elsewhere").mkdir()
    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", tag, "--port", str(port), "--host", "127.0.0.1"]
    env = {**os.environ, "HOME": str(tmp_path / "home"), "PYTHONSAFEPATH": "1"}
    service = Program(command, env, tmp_path / "elsewhere" / "service.log")
    service.start()
    try:
        wait_for(lambda: get(port, "/readyz")[0] == 200, why=service.log.read_text)
        status, answer = post(port, "/predict", {"rows": [tiny.row(temp=3.0)]})
        model = get(port, "/model")[1]
    finally:
        service.kill()
    (made,) = (tmp_path / "bentoml" / "bentos" / "tiny-flights").glob("*/bento.yaml")
    told = yaml.safe_load(made.read_text())
    assert (status, answer["version"], model["version"]) == (200, 3, 3)
    assert answer["predictions"][0]["probability"] == pytest.approx(tiny.probability(0.5, 3.0), abs=1e-6)
    assert list((tmp_path / "home" / ".everfit" / "ledger" / "tiny-flights" / "segments").iterdir())
    assert told["labels"]["version"] == "3"
    assert told["services"][0]["config"]["workers"] == 2
    assert not list(made.parent.rglob("test_*.py"))


def test_the_repository_itself_is_a_bento_for_any_project(tmp_path: Path):
    """`bentoml build` in its root: the project file and the registry come from the environment."""
    root = Path(__file__).parents[3]
    env = {**os.environ, "BENTOML_HOME": str(tmp_path), "BENTOML_DO_NOT_TRACK": "True"}
    command = [sys.executable, "-m", "bentoml", "build", str(root), "--output", "tag"]

    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    (made,) = tmp_path.glob("bentos/everfit/*/bento.yaml")
    told = yaml.safe_load(made.read_text())
    required = (made.parent / "env" / "python" / "requirements.txt").read_text().split("\n")
    assert told["service"] == "components.serving.service:EverfitService"
    assert set(requirements()) <= set(required)
    assert len(set(filter(None, required)) - set(requirements())) == 1  # BentoML's own exact version
    assert (made.parent / "src" / "components" / "serving" / "service.py").is_file()
    assert {one.name for one in (made.parent / "src").iterdir()} == {"bentofile.yaml", "components"}

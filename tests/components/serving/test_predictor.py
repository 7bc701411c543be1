"""A version answers only after it has proven itself, and what fails is not tried again each second."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from components.errors import ModelRefused
from components.records.models import ModelFiles, ModelVersion
from components.registry.registering import register
from components.registry.tracking import connect
from components.serving.command import serve_command
from components.serving.counters import Counters
from components.serving.follower import Follower
from components.serving.predictor import Predictor
from components.serving.refusals import Refused
from components.settings.environment import Environment
from components.settings.project import Project
from components.settings.reading import load_project
from tests.components.serving import tiny
from tests.components.serving.conftest import Registry

ROOT = Path(__file__).parents[3]


def files(folder: Path, graph: Path) -> ModelFiles:
    """A version's files, as the registry hands them out."""
    version = ModelVersion("tiny", 1, "run", hashlib.sha256(graph.read_bytes()).hexdigest())
    return ModelFiles(version, graph, tiny.SCHEMA, tiny.split(folder).reference.path, {}, "c" * 64)


def test_a_good_version_proves_itself_on_its_reference_rows(tmp_path: Path):
    """The rows that came with it are answered, finite and in range."""
    predictor = Predictor(files(tmp_path, tiny.graph(0.5, tmp_path / "model.onnx")), max_rows=10)

    assert predictor.check() == tiny.ROWS


def test_a_version_without_finite_answers_is_refused(tmp_path: Path):
    """NaN would go out as a prediction otherwise."""
    predictor = Predictor(files(tmp_path, tiny.graph(float("nan"), tmp_path / "model.onnx")), max_rows=10)

    with pytest.raises(ModelRefused, match="tiny version 1 fails on its own reference rows: row 0"):
        predictor.check()


def test_a_row_without_a_finite_answer_is_refused(tmp_path: Path):
    """Values that a graph cannot stand get a sentence, not a NaN."""
    predictor = Predictor(files(tmp_path, tiny.graph(0.0, tmp_path / "model.onnx")), max_rows=10)
    good, bad = {"temp": [0.0, 1e308], "wind speed": [0.0, -1e308]}, {"temp": [0.0, float("inf")]}
    texts = {"carrier": ["UA", None], "tail": ["a", "b"]}

    assert predictor.run(good | texts).probability is not None
    with pytest.raises(Refused, match="row 1: the model has no finite answer"):
        predictor.run(good | {"temp": bad["temp"], "wind speed": [0.0, float("-inf")]} | texts)


def test_a_graph_that_is_not_the_registered_one_is_refused(tmp_path: Path):
    """The very bytes that are loaded are those that were scored."""
    registered = files(tmp_path, tiny.graph(0.0, tmp_path / "model.onnx"))
    tiny.graph(1.0, registered.graph)

    with pytest.raises(ModelRefused, match=f"wanted the graph {registered.version.sha256[:12]}, found"):
        Predictor(registered, max_rows=10)


def test_a_graph_that_does_not_fit_its_schema_is_refused(tmp_path: Path):
    """A column that the graph does not take would be dropped in silence otherwise."""
    made = files(tmp_path, tiny.graph(0.0, tmp_path / "model.onnx"))
    narrower = replace(made, schema=replace(tiny.SCHEMA, features=tiny.SCHEMA.features[:3]))

    with pytest.raises(ModelRefused, match=r"wanted a graph with the inputs .*'wind speed'.*, found .*'tail'"):
        Predictor(narrower, max_rows=10)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path):
    """What onnxruntime cannot open is named."""
    (tmp_path / "model.onnx").write_bytes(b"no graph")

    with pytest.raises(ModelRefused, match="onnxruntime cannot open its graph"):
        Predictor(files(tmp_path, tmp_path / "model.onnx"), max_rows=10)


@pytest.mark.stack
@pytest.mark.slow
def test_a_broken_version_rests_and_another_is_taken_at_once(registry: Registry, tmp_path: Path):
    """The reason is kept, tries become rarer, and a move of the alias ends the rest."""
    project = load_project(tiny.write_project(tmp_path, "rests"))
    environment = Environment(home=tmp_path / "home", tracking_uri=registry.address)
    registry.wait()
    connect(environment)
    broken, good = (_register(project, tmp_path / name, bias) for name, bias in (("bad", float("nan")), ("good", 0.0)))
    now, counters = [0.0], Counters()
    cache = environment.cache()
    follower = Follower("rests", cache=cache, max_rows=9, poll_seconds=1, counters=counters, clock=lambda: now[0])

    def failures(seconds: float) -> int:
        now[0] = seconds
        follower.look()
        return int(counters.page().decode().partition("\neverfit_follow_failures_total ")[2].split(".")[0])

    registry.point(broken)
    tries = [failures(second) for second in (0, 1, 1.9, 2, 3, 5.9, 6)]
    why = follower.last_error
    registry.point(good)
    follower.look()

    assert tries == [1, 1, 1, 2, 2, 2, 3]
    assert f"version {broken.version} was not taken" in why
    assert "no finite answer" in why
    assert follower.live is not None
    assert follower.live.predictor.version == good
    assert follower.last_error == ""


def _register(project: Project, folder: Path, bias: float) -> ModelVersion:
    folder.mkdir()
    fitted, workshop = tiny.fitted(folder), tiny.workshop(bias, folder)
    return register(project, tiny.lineage(project), tiny.split(folder), fitted, workshop, tiny.scorecard())


def test_a_worker_needs_nothing_that_only_training_needs():
    """The image that answers requests holds no torch, no Lightning, no Prefect, no Evidently and no ONNX tools."""
    code = "import sys\nfrom components.serving import follower, service, worker\nprint(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    tops = {name.partition(".")[0] for name in loaded.stdout.split()}
    assert not tops & {"torch", "lightning", "prefect", "evidently", "onnx", "onnxscript", "matplotlib", "deltalake"}
    assert "mlflow" not in tops  # behind the first answers, in the follower's thread


def test_the_process_that_only_watches_the_workers_stays_light():
    """BentoML imports the service in its own process too, which answers nothing."""
    code = "import sys, components.serving.service; print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert not {name.partition(".")[0] for name in loaded.stdout.split()} & {"mlflow", "onnxruntime", "pandas"}


def test_the_command_works_in_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whoever starts the service need not know where the code or the home folder stands."""
    monkeypatch.chdir(tmp_path)
    environment = Environment(home=Path("home"), service_port=3999)

    command, variables = serve_command(environment, Path("project.yaml"), 2)

    assert command[:5] == [sys.executable, "-m", "bentoml", "serve", "components.serving.service:EverfitService"]
    assert command[command.index("--working-dir") + 1] == str(ROOT)
    assert command[command.index("--port") + 1] == "3999"
    assert variables["EVERFIT_PROJECT_FILE"] == str(tmp_path / "project.yaml")
    assert variables["EVERFIT_HOME"] == str(tmp_path / "home")
    assert '"workers": 2' in variables["BENTOML_CONFIG_OVERRIDES"]
    assert Path(variables["BENTOML_HOME"]).is_absolute()

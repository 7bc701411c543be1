"""What is exported runs on a machine that has Python and two packages, and answers as the registered graph does."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from components.data.feeds import feeds
from components.errors import ModelError, ModelRefused
from components.records.models import ModelFiles, ModelVersion
from components.registry import packing
from components.registry.edge import export
from tests.components.registry.conftest import hand_over

ROWS: list[dict[str, Any]] = [
    {"temp": 12.5, "origin": "EWR"},
    {"temp": None, "origin": None},
    {"origin": "noch nie gesehen: 日本"},
    {"temp": 1e300, "origin": 3.0},
    {"temp": -1e300, "origin": True},
    {"temp": 5e-324, "origin": 2.5},
    {"temp": float("nan"), "origin": float("nan")},
]


@pytest.fixture
def files(tmp_path: Path) -> ModelFiles:
    """A version as it was fetched."""
    made = hand_over(tmp_path, "flights")
    return packed(tmp_path / "fetched", made.variant.path, made.split.reference.path, made.split.schema)


def packed(folder: Path, graph: Path, reference: Path, schema: Any) -> ModelFiles:
    """A folder with the graph and what travels beside it."""
    folder.mkdir()
    shutil.copy(graph, folder / packing.GRAPH)
    shutil.copy(reference, folder / packing.REFERENCE)
    version = ModelVersion("flights", 3, "run", packing.file_sha256(folder / packing.GRAPH))
    return ModelFiles(version, folder / packing.GRAPH, schema, folder / packing.REFERENCE, {}, "c" * 64)


def own_answers(files: ModelFiles, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the registered graph says, fed as the service feeds it."""
    session = onnxruntime.InferenceSession(str(files.graph))
    columns = {column.name: [row.get(column.name) for row in rows] for column in files.schema.features}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds(columns, files.schema)), strict=True))


def answers(folder: Path, rows: list[dict[str, Any]], python: Path | str = sys.executable) -> list[dict[str, Any]]:
    """What the exported program prints for rows on its standard input."""
    done = subprocess.run(
        [python, "-I", folder / "predict.py"], input=json.dumps(rows), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_the_folder_holds_the_graph_a_program_and_its_two_packages(files: ModelFiles, tmp_path: Path):
    """The very bytes that were registered, real rows, and two pinned packages."""
    folder = tmp_path / "out" / "edge"

    written = export(files, folder)

    assert sorted(written) == sorted(folder.iterdir())
    assert (folder / "model.onnx").read_bytes() == files.graph.read_bytes()
    lines = (folder / "requirements.txt").read_text().splitlines()
    assert lines == [f"numpy=={np.__version__}", f"onnxruntime=={onnxruntime.__version__}"]
    assert json.loads((folder / "example.json").read_text())[0] == {"temp": -5.0, "origin": "EWR"}
    assert files.version.sha256 in (folder / "README.md").read_text()


def test_the_program_answers_rows_as_the_service_would(files: ModelFiles, tmp_path: Path):
    """Missing, left out, unseen, extreme, tiny, unicode; numbers and booleans as categories."""
    export(files, tmp_path / "edge")

    found = answers(tmp_path / "edge", ROWS)

    own = own_answers(files, ROWS)
    assert [answer["prediction"] for answer in found] == own["prediction"].tolist()
    assert [answer["probability"] for answer in found] == pytest.approx(own["probability"].tolist(), abs=1e-5)


def test_classes_are_told_by_their_names(files: ModelFiles, tmp_path: Path):
    """The program learns them from the graph's own metadata."""
    schema = replace(files.schema, target_kind="multiclass", classes=("früh", "late"))
    several = packed(tmp_path / "several", _of_two_classes(tmp_path, schema), files.reference, schema)
    export(several, tmp_path / "edge")

    found = answers(tmp_path / "edge", ROWS[:2])

    own = own_answers(several, ROWS[:2])
    assert [answer["prediction"] for answer in found] == [schema.classes[number] for number in own["prediction"]]
    assert [answer["probabilities"] for answer in found] == [
        {"früh": pytest.approx(early, abs=1e-5), "late": pytest.approx(late, abs=1e-5)}
        for early, late in own["probabilities"].tolist()
    ]


@pytest.mark.slow
def test_it_runs_in_a_bare_environment(files: ModelFiles, tmp_path: Path):
    """A new Python with the two packages and nothing else answers the example as the registered graph does."""
    export(files, tmp_path / "edge")
    _uv("venv", "--quiet", "--python", sys.executable, tmp_path / "bare")
    python = tmp_path / "bare" / "bin" / "python"
    _uv("pip", "install", "--quiet", "--python", python, "-r", tmp_path / "edge" / "requirements.txt")
    rows = json.loads((tmp_path / "edge" / "example.json").read_text())

    found = answers(tmp_path / "edge", [*rows, *ROWS], python)

    own = own_answers(files, [*rows, *ROWS])
    assert [answer["probability"] for answer in found] == pytest.approx(own["probability"].tolist(), abs=1e-5)
    there = _uv("pip", "list", "--python", python, "--format", "freeze").stdout
    assert not {"everfit", "mlflow", "torch", "onnx", "bentoml"} & {line.split("==")[0] for line in there.split()}


def test_a_folder_that_holds_something_is_left_alone(files: ModelFiles, tmp_path: Path):
    """Nobody's files are mixed with the export."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")

    with pytest.raises(ModelError, match=r"wanted an empty folder at .*mine, found something there"):
        export(files, tmp_path / "mine")

    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_an_unknown_target_is_told_which_there_are(files: ModelFiles, tmp_path: Path):
    """The message names them."""
    with pytest.raises(ModelError, match=r"\(edge: any machine with Python.*\), found 'phone'"):
        export(files, tmp_path / "out", target="phone")

    assert not (tmp_path / "out").exists()


def test_a_graph_that_was_changed_is_not_exported(files: ModelFiles, tmp_path: Path):
    """What runs at the edge is what was scored."""
    files.graph.write_bytes(files.graph.read_bytes() + b"\x00")

    with pytest.raises(ModelRefused, match=rf"with sha256 {files.version.sha256}, found"):
        export(files, tmp_path / "edge")

    assert not list((tmp_path / "edge").iterdir())


def _of_two_classes(folder: Path, schema: Any) -> Path:
    """A graph that says how cold it is."""
    nodes = [
        helper.make_node("IsNaN", ["temp"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "temp"], ["filled"]),
        helper.make_node("Unsqueeze", ["filled", "axis"], ["warm"]),
        helper.make_node("Neg", ["warm"], ["cold"]),
        helper.make_node("Concat", ["cold", "warm"], ["scores"], axis=1),
        helper.make_node("Softmax", ["scores"], ["shares"], axis=1),
        helper.make_node("Cast", ["shares"], ["probabilities"], to=TensorProto.FLOAT),
        helper.make_node("ArgMax", ["shares"], ["prediction"], axis=1, keepdims=0),
    ]
    inputs = [("temp", TensorProto.DOUBLE, ["rows"]), ("origin", TensorProto.STRING, ["rows"])]
    outputs = [("prediction", TensorProto.INT64, ["rows"]), ("probabilities", TensorProto.FLOAT, ["rows", 2])]
    constants = [
        helper.make_tensor("zero", TensorProto.DOUBLE, [], [0.0]),
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
    ]
    ports = [[helper.make_tensor_value_info(*port) for port in side] for side in (inputs, outputs)]
    opsets = [helper.make_opsetid("", 20)]
    model = helper.make_model(helper.make_graph(nodes, "cold", *ports, constants), opset_imports=opsets, ir_version=10)
    helper.set_model_props(model, {"schema": schema.to_json()})
    onnx.checker.check_model(model)
    onnx.save(model, folder / "two.onnx")
    return folder / "two.onnx"


def _uv(*words: object) -> subprocess.CompletedProcess[str]:
    """uv, with the wheels that pip is told of: it does not read pip's configuration."""
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.find-links"],
        capture_output=True,
        text=True,
        check=False,
    )
    links = os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS") or asked.stdout.strip()
    env = os.environ | {"UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "true"}
    env |= {"UV_FIND_LINKS": links.replace(" ", ",")} if links else {}
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run([uv, *map(str, words)], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done

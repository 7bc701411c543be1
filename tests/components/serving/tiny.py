"""A tiny model with known answers, and the records around it, for the tests of the service.

Its probability is `sigmoid(bias + temp / 10 + wind + carrier)`, where a missing `temp` counts as 0 and the carrier adds
1 for `UA`, 2 for `日本`, and nothing for others. A version is told by its bias.
"""

import hashlib
import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import onnx
import polars as pl
from onnx import TensorProto, helper, numpy_helper

from components.records.models import FittedModel, Lineage, ModelFiles, ModelVersion, RatedVariant, Variant, Workshop
from components.records.rows import Column, Part, Schema, Split, TableVersion
from components.records.scores import Scorecard
from components.registry.packing import GRAPH, MANIFEST, PACKED, REFERENCE, Manifest, file_sha256
from components.registry.packing import SCHEMA as SCHEMA_FILE
from components.settings.project import Project

CODES = {"UA": 1.0, "日本": 2.0}
START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = 120

SCHEMA = Schema(
    features=(
        Column("temp", "number", nullable=True, low=-10.0, high=40.0, missing_share=0.1, example=12.5),
        Column("wind speed", "number", nullable=False, low=0.0, high=3.0, example=0.5),
        Column("carrier", "category", nullable=True, values=("UA", "日本", "a|b<c>"), example="UA"),
        Column("tail", "category", nullable=False, values=(), example="N123"),
    ),
    target="late",
    target_kind="binary",
    timestamp="at",
    id="flight id",
)


def row(**columns: object) -> dict[str, object]:
    """A row that is answered; columns by keyword, `wind` for the one with a space in its name."""
    named = {"wind speed" if name == "wind" else name: value for name, value in columns.items()}
    return {"temp": 0.0, "wind speed": 0.0, "carrier": None, "tail": "N1"} | named


def probability(bias: float, temp: float | None = 0.0, wind: float = 0.0, carrier: str | None = None) -> float:
    """What the graph should say."""
    return 1 / (1 + math.exp(-(bias + (temp or 0.0) / 10 + wind + CODES.get(carrier or "", 0.0))))


def graph(bias: float, file: Path, *, inputs: tuple[str, ...] = ("temp", "wind speed", "carrier", "tail")) -> Path:
    """The model as an ONNX file."""
    kinds = {"temp": TensorProto.DOUBLE, "wind speed": TensorProto.DOUBLE}
    constant = [
        numpy_helper.from_array(np.array(value, np.float64), name)
        for name, value in {"zero": 0.0, "tenth": 0.1, "bias": bias, "half": 0.5}.items()
    ]
    codes = helper.make_node(
        "LabelEncoder",
        ["carrier"],
        ["code"],
        domain="ai.onnx.ml",
        keys_strings=list(CODES),
        values_floats=list(CODES.values()),
        default_float=0.0,
    )
    nodes = [
        helper.make_node("IsNaN", ["temp"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "temp"], ["known"]),
        helper.make_node("Mul", ["known", "tenth"], ["scaled"]),
        codes,
        helper.make_node("Cast", ["code"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("Sum", ["scaled", "wind speed", "wide", "bias"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["chance"]),
        helper.make_node("Cast", ["chance"], ["probability"], to=TensorProto.FLOAT),
        helper.make_node("GreaterOrEqual", ["chance", "half"], ["sure"]),
        helper.make_node("Cast", ["sure"], ["prediction"], to=TensorProto.INT64),
    ]
    made = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, kinds.get(name, TensorProto.STRING), ["rows"]) for name in inputs],
        [
            helper.make_tensor_value_info("prediction", TensorProto.INT64, ["rows"]),
            helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["rows"]),
        ],
        constant,
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, file)
    return file


def variant(bias: float, folder: Path) -> Variant:
    """The model as optimization hands it on."""
    file = graph(bias, folder / "model.onnx")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return Variant("fp32", file, digest, SCHEMA, max_difference=0.0, megabytes=file.stat().st_size / 1e6)


def workshop(bias: float, folder: Path) -> Workshop:
    """The same, as the one variant that was built."""
    chosen = variant(bias, folder)
    table, picture = folder / "variants.md", folder / "variants.png"
    table.write_text("| variant |")
    picture.write_bytes(b"a picture")
    return Workshop((RatedVariant(chosen, quality=0.75, quality_loss=0.0),), {}, chosen, table, picture)


def packed(folder: Path, file: Path, schema: Schema = SCHEMA, *, name: str, number: int = 3) -> ModelFiles:
    """A version's folder with its manifest, as the registry fetches it, around a graph that stands in it."""
    (folder / SCHEMA_FILE).write_text(schema.to_json())
    split(folder).reference.path.rename(folder / REFERENCE)
    manifest = Manifest(name, {one: file_sha256(folder / one) for one in PACKED}, {"roc_auc": 0.75}, "c" * 64)
    (folder / MANIFEST).write_text(manifest.to_json())
    version = ModelVersion(name, number, "run", manifest.files[GRAPH])
    return ModelFiles(version, file, schema, folder / REFERENCE, manifest.metrics, manifest.config_sha256)


def changed_graph(file: Path, *more: onnx.NodeProto, takes: str, into: str) -> Path:
    """The graph with more nodes, the last of which gives what the node with the output `into` took from `takes`."""
    model = onnx.load(file)
    nodes = list(model.graph.node)
    (target,) = (one for one in nodes if into in one.output)
    target.input[:] = [more[-1].output[0] if name == takes else name for name in target.input]
    place = nodes.index(target)
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:place], *more, *nodes[place:]])
    onnx.checker.check_model(model)
    onnx.save(model, file)
    return file


def another_kind(file: Path, kind: str) -> Path:
    """The same columns, with the wind as the value, or as a class."""
    model = onnx.load(file)
    del model.graph.node[:], model.graph.output[:]
    if kind == "regression":
        nodes = [helper.make_node("Cast", ["wind speed"], ["prediction"], to=TensorProto.FLOAT)]
        outputs = [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["rows"])]
    else:
        axis = numpy_helper.from_array(np.array([1]), "axis")
        model.graph.initializer.append(axis)
        nodes = [
            helper.make_node("Unsqueeze", ["wind speed", "axis"], ["wind"]),
            helper.make_node("Sub", ["half", "wind"], ["calm"]),
            helper.make_node("Concat", ["calm", "wind"], ["scores"], axis=1),
            helper.make_node("Softmax", ["scores"], ["shares"], axis=1),
            helper.make_node("Cast", ["shares"], ["probabilities"], to=TensorProto.FLOAT),
            helper.make_node("ArgMax", ["shares"], ["prediction"], axis=1, keepdims=0),
        ]
        outputs = [
            helper.make_tensor_value_info("prediction", TensorProto.INT64, ["rows"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 2]),
        ]
    model.graph.node.extend(nodes)
    model.graph.output.extend(outputs)
    onnx.checker.check_model(model)
    onnx.save(model, file)
    return file


def split(folder: Path) -> Split:
    """Parts of made rows; only the reference is read by what is tested here."""
    generator = np.random.default_rng(7)
    frame = pl.DataFrame(
        {
            "temp": [None if i % 10 == 0 else float(v) for i, v in enumerate(generator.normal(12, 8, ROWS))],
            "wind speed": generator.uniform(0, 3, ROWS),
            "carrier": generator.choice([*CODES, "AA"], ROWS).tolist(),
            "tail": [f"N{number}" for number in range(ROWS)],
            "at": [START + timedelta(hours=hour) for hour in range(ROWS)],
            "flight id": [str(number) for number in range(ROWS)],
            "late": generator.integers(0, 2, ROWS),
        }
    )
    file = folder / "part.parquet"
    frame.write_parquet(file)
    end = START + timedelta(hours=ROWS - 1)
    part = Part(file, ROWS, "a" * 64, START, end)
    return Split(part, part, part, part, SCHEMA, TableVersion(folder, 1, ROWS, "b" * 64, START, end))


def fitted(folder: Path) -> FittedModel:
    """What training would have left behind."""
    (folder / "history.json").write_text(
        json.dumps([{"epoch": 1, "train_loss": 0.7, "validation_loss": 0.6, "learning_rate": 0.001}])
    )
    return FittedModel(folder, epochs=1, best_epoch=1, validation_loss=0.6, seconds=1.0, parameters=4)


def scorecard() -> Scorecard:
    """How good it was."""
    return Scorecard({"roc_auc": 0.75, "log_loss": 0.6}, ROWS, "a" * 64)


def lineage(project: Project) -> Lineage:
    """Where it comes from."""
    return Lineage(project.file, project.sha256, "unknown")


PROJECT = """
name: {name}
data:
  source: {{class_path: a_module.that_is_not_there.Source}}
  target: {{column: late, kind: binary}}
  timestamp: at
  id: flight id
serving: {{max_rows: 50, max_body_mb: 0.2, poll_seconds: 0.2}}
"""


def write_project(folder: Path, name: str) -> Path:
    """A project file whose source cannot be imported: the service must not try."""
    file = folder / f"{name}.yaml"
    file.write_text(PROJECT.format(name=name))
    return file

"""Made windows of flights: rows, a little graph that answers them, and the project that watches it."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import polars as pl
from onnx import TensorProto, helper

from components.monitoring.measure import measure
from components.records.models import ModelFiles, ModelVersion
from components.records.rows import Column, Schema, TargetKind
from components.records.watching import Window, WindowFacts
from components.settings.project import Project

WINDOW = Window(datetime(2013, 6, 1, tzinfo=UTC), datetime(2013, 6, 15, tzinfo=UTC))
CLASSES = ("early", "late", "never")
# What the little graphs answer with, by kind of target: input `temp`, centred on 10.
OUTPUTS = {"binary": ("prediction", "probability"), "multiclass": ("prediction",), "regression": ("prediction",)}


def rows(count: int, *, seed: int = 1, warmer: float = 0.0) -> pl.DataFrame:
    """Weather and routes, with a tail number that hardly ever comes twice."""
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "temp": rng.normal(10 + warmer, 5, count),
            "wind": rng.gamma(2, 3, count),
            "origin": rng.choice(["EWR", "JFK", "LGA"], count),
            "tail": rng.integers(0, 4_000, count).astype(str),
        }
    )


def write_graph(path: Path, kind: TargetKind) -> None:
    """An ONNX graph whose answer rises with the temperature."""
    names = ["temp", "wind", "origin", "tail"]
    types = [TensorProto.DOUBLE, TensorProto.DOUBLE, TensorProto.STRING, TensorProto.STRING]
    inputs = [helper.make_tensor_value_info(n, t, ["rows"]) for n, t in zip(names, types, strict=True)]
    nodes = [
        helper.make_node("Constant", [], ["ten"], value=helper.make_tensor("ten", TensorProto.DOUBLE, [], [10.0])),
        helper.make_node("Sub", ["temp", "ten"], ["centred"]),
        helper.make_node("Sigmoid", ["centred"], ["chance"]),
        helper.make_node("Cast", ["chance"], ["probability"], to=TensorProto.FLOAT),
    ]
    answer, out = TensorProto.INT64, [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["rows"])]
    if kind == "regression":
        answer = TensorProto.DOUBLE
        nodes.append(helper.make_node("Identity", ["centred"], ["prediction"]))
    else:
        nodes += [helper.make_node("Round", ["chance"], ["whole"])]
        nodes += [helper.make_node("Cast", ["whole"], ["prediction"], to=TensorProto.INT64)]
    out.append(helper.make_tensor_value_info("prediction", answer, ["rows"]))
    graph = helper.make_graph(nodes, "little", inputs, out)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


def files_of(folder: Path, kind: TargetKind = "binary") -> ModelFiles:
    """A version's files: its graph and 2,000 of the rows it learned from."""
    write_graph(folder / "model.onnx", kind)
    rows(2_000, seed=0).write_parquet(folder / "reference.parquet")
    columns = (
        Column("temp", "number"),
        Column("wind", "number"),
        Column("origin", "category"),
        Column("tail", "category"),
    )
    schema = Schema(columns, "late", kind, "at", classes=CLASSES if kind == "multiclass" else ())
    version = ModelVersion("flights", 4, "run", "0" * 64)
    metrics = {"roc_auc": 0.7, "accuracy": 0.8, "rmse": 1.0}
    return ModelFiles(version, folder / "model.onnx", schema, folder / "reference.parquet", metrics, "0" * 64)


def project(kind: TargetKind = "binary", metric: str = "roc_auc", columns: dict | None = None, **monitoring) -> Project:
    """The defaults, unless said otherwise."""
    source = {"class_path": "components.data.sources.Csv"}
    return Project.model_validate(
        {
            "name": "flights",
            "data": {
                "source": source,
                "target": {"column": "late", "kind": kind},
                "timestamp": "at",
                "columns": columns or {},
            },
            "evaluation": {"metric": metric},
            "monitoring": monitoring,
            "file": Path("flights.yaml"),
            "sha256": "0" * 64,
        }
    )


def answered(frame: pl.DataFrame, kind: TargetKind = "binary", *, labelled: float = 0.8) -> pl.DataFrame:
    """The rows as the ledger gives them back: with the graph's answers, and labels for the first of them."""
    rng = np.random.default_rng(3)
    centred = frame["temp"].fill_nan(10.0).fill_null(10.0).cast(pl.Float64).to_numpy() - 10
    chance = 1 / (1 + np.exp(-centred))
    truth = (chance + rng.normal(0, 0.5, frame.height) > 0.5).astype(int)
    answers = {"prediction": centred if kind == "regression" else np.round(chance).astype(int)}
    labels = {
        "binary": pl.Series("label", truth),
        "regression": pl.Series("label", centred + rng.normal(0, 1, frame.height)),
        "multiclass": pl.Series("label", [CLASSES[code] for code in truth], dtype=pl.String),
    }[kind]
    if kind == "binary":
        answers["probability"] = chance
    seen = pl.int_range(pl.len()) < labelled * frame.height
    at = pl.lit(WINDOW.start).alias("at")
    live = frame.with_columns(at, *(pl.Series(name, values) for name, values in answers.items()), labels)
    return live.with_columns(label=pl.when(seen).then("label"), version=pl.lit(4))


def measured(
    frame: pl.DataFrame,
    folder: Path,
    policy: Project | None = None,
    kind: TargetKind = "binary",
    files: ModelFiles | None = None,
) -> WindowFacts:
    """The facts of the window that holds this frame, of a version of its own unless one is given."""
    files = files or files_of(folder, kind)
    return measure(frame, files, policy or project(), WINDOW, workspace=folder / "evidently", out=folder / "reports")

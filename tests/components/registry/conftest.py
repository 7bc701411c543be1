"""A real MLflow server, and a tiny real model with all that training makes around it."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper

from components.records.models import (
    Beginning,
    FittedModel,
    Footprint,
    Latency,
    Lineage,
    ModelVersion,
    RatedVariant,
    Variant,
    Workshop,
)
from components.records.rows import Column, Part, Schema, Split, TableVersion
from components.records.scores import Rule, Scorecard, Verdict
from components.registry import tracking
from components.registry.registering import register
from components.settings.base import PluginSettings
from components.settings.environment import Environment
from components.settings.project import DataSettings, Project, TargetSettings

START = datetime(2013, 1, 1, tzinfo=UTC)
# 10 s on an idle machine with 2 cores; 85 s were seen with 12 busy processes beside it.
SERVER_SECONDS = 180
# A PNG of one white pixel.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8ffff3f0005fe02fe"
    "0def46b80000000049454e44ae426082"
)


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def mlflow_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an MLflow server on SQLite, for all tests of this room."""
    folder = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--serve-artifacts", "--workers", "1"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    os.environ["EVERFIT_TEST_ARTIFACTS"] = str(folder / "artifacts")
    env = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "server.log").open("w") as output:
        server = subprocess.Popen(
            command, env=env, cwd=folder, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _await(f"http://127.0.0.1:{port}/health", server, folder / "server.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(10)


def _await(url: str, server: subprocess.Popen, output: Path) -> None:
    deadline = time.monotonic() + SERVER_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"wanted an MLflow server at {url}, found: {output.read_text()[-2000:]}")


@pytest.fixture
def server(mlflow_address: str, tmp_path: Path) -> Environment:
    """An environment that uses the MLflow server; MLflow's addresses are set to it."""
    environment = Environment(home=tmp_path / "home", tracking_uri=mlflow_address)
    tracking.connect(environment)
    return environment


@dataclass(frozen=True)
class Made:
    """All that a training hands to the registry."""

    project: Project
    lineage: Lineage
    split: Split
    fitted: FittedModel
    workshop: Workshop
    scorecard: Scorecard

    @property
    def variant(self) -> Variant:
        """The graph."""
        return self.workshop.chosen

    def register(self, beginning: Beginning | None = None) -> ModelVersion:
        """The version that the registry makes of it."""
        handed = self.project, self.lineage, self.split, self.fitted, self.workshop, self.scorecard
        return register(*handed, beginning=beginning)


Make = Callable[..., Made]


def hand_over(home: Path, name: str, *, weight: float = 2.0, **lineage: Any) -> Made:
    """What a training hands over: files below `home`, a graph with that weight, facts about where it comes from."""
    folder = home / f"{name}-{weight}"
    folder.mkdir(exist_ok=True)
    project = _project(name, folder)
    split = _split(folder)
    plot = folder / "roc.png"
    plot.write_bytes(PIXEL)
    page = folder / "scorecard.html"
    page.write_text("<!doctype html><title>scorecard</title>")
    given = {"reason": "manual", "commit": "c0ffee" * 6, "until": START + timedelta(days=90)} | lineage
    scorecard = Scorecard(
        metrics={"roc_auc": 0.71234, "log_loss": 0.5},
        rows=split.test.rows,
        table_sha256=split.test.sha256,
        intervals={"roc_auc": (0.69, 0.73)},
        slices={"origin=EWR": {"roc_auc": 0.7}},
        gaps={"origin": {"equalized odds": 0.1}},
        margins={"linear": 0.02},
        behaviours=(Rule("colder is not later", False, "wanted 95 % of 20 rows to stay, found 80 %"),),
        plots=(plot,),
        page=page,
    )
    origin = Lineage(project_file=project.file, project_sha256=project.sha256, **given)
    return Made(project, origin, split, _fitted(folder), _workshop(folder, split.schema, weight), scorecard)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes what a training hands over: `make("flights", weight=2.0)`."""
    return partial(hand_over, tmp_path)


@pytest.fixture(scope="session")
def registered(mlflow_address: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, ModelVersion]:
    """One version, registered once for all tests that only read."""
    folder = tmp_path_factory.mktemp("registered")
    tracking.connect(Environment(home=folder / "home", tracking_uri=mlflow_address))
    made = hand_over(folder, "read-only", reason="drift in 5 of 12 columns", decision_id="d-1")
    return made, made.register()


@pytest.fixture
def verdict() -> Verdict:
    """A verdict that promotes."""
    return Verdict(
        outcome="promote",
        reason="roc_auc 0.712 is above the minimum 0.65",
        metric="roc_auc",
        candidate=0.712,
        champion=0.7,
        difference_low=0.004,
        difference_high=0.02,
        rows=1200,
        table_sha256="e" * 64,
        rules=(Rule("minimum", True, "wanted 0.65, found 0.712"),),
    )


@pytest.fixture
def rejection(verdict: Verdict) -> Verdict:
    """A verdict that rejects."""
    return replace(verdict, outcome="reject", reason="roc_auc 0.68 is below 0.70", candidate=0.68, difference_low=-0.03)


def graph(weight: float) -> onnx.ModelProto:
    """A real graph from `temp` (double, NaN counts as 0) and `origin` (string) to prediction and probability."""
    nodes = [
        helper.make_node("IsNaN", ["temp"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "temp"], ["filled"]),
        helper.make_node("Cast", ["filled"], ["number"], to=TensorProto.FLOAT),
        helper.make_node(
            "LabelEncoder",
            ["origin"],
            ["code"],
            domain="ai.onnx.ml",
            keys_strings=["EWR", "JFK", ""],
            values_floats=[0.5, -0.5, 0.1],
            default_float=0.0,
        ),
        helper.make_node("Mul", ["number", "weight"], ["scaled"]),
        helper.make_node("Add", ["scaled", "code"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
        helper.make_node("Greater", ["probability", "half"], ["above"]),
        helper.make_node("Cast", ["above"], ["prediction"], to=TensorProto.INT64),
    ]
    constants = [
        helper.make_tensor("zero", TensorProto.DOUBLE, [], [0.0]),
        helper.make_tensor("weight", TensorProto.FLOAT, [], [weight]),
        helper.make_tensor("half", TensorProto.FLOAT, [], [0.5]),
    ]
    inputs = [
        helper.make_tensor_value_info("temp", TensorProto.DOUBLE, ["rows"]),
        helper.make_tensor_value_info("origin", TensorProto.STRING, ["rows"]),
    ]
    outputs = [
        helper.make_tensor_value_info("prediction", TensorProto.INT64, ["rows"]),
        helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["rows"]),
    ]
    made = helper.make_model(
        helper.make_graph(nodes, "tiny", inputs, outputs, constants),
        opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)],
        ir_version=10,
    )
    onnx.checker.check_model(made)
    return made


def _project(name: str, folder: Path) -> Project:
    file = folder / f"{name}.yaml"
    file.write_text(f"name: {name}\n")
    data = DataSettings(
        source=PluginSettings(class_path="components.data.sources.Parquet", init_args={"path": "rows.parquet"}),
        target=TargetSettings(column="late", kind="binary"),
        timestamp="at",
    )
    return Project(name=name, data=data, file=file, sha256=hashlib.sha256(file.read_bytes()).hexdigest())


def _split(folder: Path) -> Split:
    schema = Schema(
        features=(
            Column("temp", "number", nullable=True, low=-5.0, high=30.0, example=12.5),
            Column("origin", "category", nullable=False, values=("EWR", "JFK"), example="EWR"),
        ),
        target="late",
        target_kind="binary",
        timestamp="at",
    )
    parts = {
        name: _part(folder, name, number) for number, name in enumerate(["train", "validation", "test", "reference"])
    }
    table = TableVersion(folder / "table", 0, 60, "f" * 64, parts["train"].first, parts["test"].last, unlabelled=3)
    return Split(**parts, schema=schema, table=table)


def _part(folder: Path, name: str, number: int) -> Part:
    rows = 20
    first = START + timedelta(days=30 * number)
    frame = pl.DataFrame(
        {
            "temp": np.linspace(-5, 30, rows),
            "origin": ["EWR", "JFK"] * (rows // 2),
            "late": [0, 1] * (rows // 2),
            "at": [first + timedelta(hours=hour) for hour in range(rows)],
        }
    )
    path = folder / f"{name}.parquet"
    frame.write_parquet(path)
    digest = hashlib.sha256(f"{name}{number}".encode()).hexdigest()
    return Part(path, rows, digest, first, first + timedelta(hours=rows - 1))


def _fitted(folder: Path) -> FittedModel:
    history = [
        {"epoch": epoch, "train_loss": 0.7 / epoch, "validation_loss": 0.8 / epoch, "learning_rate": 0.001}
        for epoch in (1, 2, 3)
    ]
    (folder / "history.json").write_text(json.dumps(history))
    return FittedModel(folder, epochs=3, best_epoch=3, validation_loss=0.26, seconds=1.5, parameters=2)


def _variant(folder: Path, schema: Schema, weight: float) -> Variant:
    path = folder / "model.onnx"
    onnx.save(graph(weight), path)
    content = path.read_bytes()
    return Variant("fp32", path, hashlib.sha256(content).hexdigest(), schema, 2e-7, len(content) / 1e6)


def _workshop(folder: Path, schema: Schema, weight: float) -> Workshop:
    """One variant, measured and chosen."""
    latencies = tuple(Latency(rows, 0.01 * rows, 0.02 * rows) for rows in (1, 32, 1024))
    variant = replace(_variant(folder, schema, weight), footprint=Footprint(latencies, 100_000.0, 12.0, 90.0))
    table, picture = folder / "variants.md", folder / "variants.png"
    table.write_text("| variant |")
    picture.write_bytes(PIXEL)
    rated = RatedVariant(variant, quality=0.71, quality_loss=0.0)
    return Workshop((rated,), {"openvino": "not installed"}, variant, table, picture, memory_ratio=8.5)

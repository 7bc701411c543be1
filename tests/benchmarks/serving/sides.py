"""The sides: how each is started, where it is asked, and how its answer is read."""

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlflow.onnx
import onnx
import polars as pl

from components.records.models import ModelVersion
from components.records.rows import Column, Schema
from components.registry.packing import GRAPH, MANIFEST, PACKED, REFERENCE, SCHEMA, Manifest, file_sha256
from components.serving.command import SERVICE, serve_command
from components.settings.environment import Environment
from tests.benchmarks.serving.network import COLUMNS, columns
from tests.components.serving.conftest import Program, free_port

ROOT = Path(__file__).parents[3]
APPS = "tests.benchmarks.serving.apps"
OURS = "ours"
NO_LEDGER = "ours, ledger writes nothing"
BY_HAND = "FastAPI by hand"
MLFLOW = "mlflow models serve"

PROJECT = """
name: bench
data:
  source: {{class_path: a_module.that_is_not_there.Source}}
  target: {{column: late, kind: binary}}
  timestamp: at
# Seldom polled: a registry that is down costs a retry at each look, which is no part of a request.
serving: {{poll_seconds: 600, durability: {durability}}}
"""


@dataclass(frozen=True)
class Side:
    """One service under one way to ask it.

    Attributes:
        program: What is started; two sides may share it.
        port: Where it listens.
        ready: Path that answers 200 once it can predict.
        path: Path that predicts.
        body: From rows to what is sent, where it is not `{"rows": [...]}`.
        predictions: From the decoded answer to a list with a dict a row.
    """

    program: Program
    port: int
    ready: str = "/readyz"
    path: str = "/predict"
    body: Callable[[list[dict[str, float]]], Any] = lambda rows: {"rows": rows}
    predictions: Callable[[Any], Any] = lambda told: told["predictions"]


def all_sides(graph: Path, folder: Path) -> dict[str, Side]:
    """Every side that can be started here, by name; none is started yet."""
    hand = by_hand(graph, folder)
    sides = {
        # What is compared most narrowly stands side by side, and so takes its turns one after the other.
        NO_LEDGER: ours(graph, folder / "without", service=f"{APPS}.without_ledger:EverfitService"),
        OURS: ours(graph, folder / "ours"),
        BY_HAND: hand,
        "ours, ledger synced to disk": ours(graph, folder / "disk", durability="disk"),
        "FastAPI by hand, tuned": Side(hand.program, hand.port, hand.ready, "/tuned"),
        "plain @bentoml.api": plain_bento(graph, folder),
        MLFLOW: mlflow_serve(graph, folder),
    }
    if importlib.util.find_spec("litserve") is not None:
        sides["LitServe"] = litserve(graph, folder)
    return sides


def ours(graph: Path, folder: Path, *, durability: str = "process", service: str = SERVICE) -> Side:
    """Our service, with its champion in the cache and no registry (it starts without)."""
    environment = Environment(home=folder / "home", service_port=free_port(), tracking_uri="http://127.0.0.1:9")
    version = environment.cache() / "bench" / "1"
    version.mkdir(parents=True)
    champion = asdict(pack(graph, version))
    (version.parent / "champion.json").write_text(json.dumps(champion))
    project_file = folder / "bench.yaml"
    project_file.write_text(PROJECT.format(durability=durability))
    command, variables = serve_command(environment, project_file, workers=1)
    command = [service if word == SERVICE else word for word in command]
    return Side(Program(command, os.environ | variables, folder / "log.txt"), environment.service_port)


def pack(graph: Path, folder: Path) -> ModelVersion:
    """The graph as a version in the cache."""
    (folder / GRAPH).write_bytes(graph.read_bytes())
    features = tuple(Column(name, "number", nullable=False, low=-10, high=10, example=0.5) for name in COLUMNS)
    (folder / SCHEMA).write_text(Schema(features, "late", "binary", "at", None).to_json())
    pl.DataFrame(columns(100)).write_parquet(folder / REFERENCE)
    hashes = {name: file_sha256(folder / name) for name in PACKED}
    (folder / MANIFEST).write_text(Manifest("bench", hashes, {}, "c" * 64).to_json())
    return ModelVersion("bench", 1, "run", hashes[GRAPH])


def by_hand(graph: Path, folder: Path) -> Side:
    """FastAPI under uvicorn, with uvloop, httptools and without an access log."""
    port = free_port()
    words = ["uvicorn", f"{APPS}.by_hand:app", "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    return Side(_program([*words, "--port", str(port), "--log-level", "warning"], graph, folder), port, "/ready")


def plain_bento(graph: Path, folder: Path) -> Side:
    """BentoML as its documentation shows it; its answer is the list itself."""
    port = free_port()
    words = ["bentoml", "serve", f"{APPS}.plain_bento:Plain", "--working-dir", str(ROOT)]
    program = _program([*words, "--host", "127.0.0.1", "--port", str(port)], graph, folder)
    return Side(program, port, predictions=lambda told: told)


def mlflow_serve(graph: Path, folder: Path) -> Side:
    """`mlflow models serve`, which takes rows and answers them under names of its own."""
    model, port = folder / "mlflow-model", free_port()
    # Named, as MLflow would otherwise look for the packages by running the model; none is installed, the env is local.
    mlflow.onnx.save_model(onnx.load(graph), model, pip_requirements=["onnxruntime"])
    words = ["mlflow", "models", "serve", "-m", str(model), "--env-manager", "local", "-w", "1"]
    program = _program([*words, "-h", "127.0.0.1", "-p", str(port)], graph, folder)
    return Side(program, port, "/ping", "/invocations", lambda rows: {"dataframe_records": rows})


def litserve(graph: Path, folder: Path) -> Side:
    """LitServe with one worker."""
    port = free_port()
    return Side(_program([f"{APPS}.lit", str(port)], graph, folder), port, "/health")


def _program(words: list[str], graph: Path, folder: Path) -> Program:
    """A Python module with its words, which finds this package and the graph."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    env = os.environ | {
        "BENCH_GRAPH": str(graph),
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(folder / "bentoml"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # `mlflow models serve` starts a program of this environment by its name.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    return Program([sys.executable, "-m", *words], env, folder / f"{words[0]}.txt")

"""What a request costs: our route beside a plain `@bentoml.api` that asks the same model, both under `bentoml serve`.

    python tests/benchmarks/serving.py [seconds]

One worker each, one row a request, 16 connections of wrk, one service after the other on the same machine, in turns so
that another busy process hurts both. Ours also checks the rows, writes each prediction to the ledger and counts it.
Look at the ratio; the numbers themselves belong to the machine they were measured on.
"""

import functools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from components.records.models import ModelVersion  # noqa: E402
from components.serving.command import serve_command  # noqa: E402
from components.settings.environment import Environment  # noqa: E402
from tests.components.serving import tiny  # noqa: E402
from tests.components.serving.conftest import Program, free_port, get, wait_for  # noqa: E402

TURNS = 3
CONNECTIONS = 16
ROW = tiny.row(temp=3.0, carrier="UA")

# The same model, asked as BentoML's documentation shows it: pydantic checks the row, the answer is a list of dicts.
PLAIN = """
import bentoml, numpy as np, onnxruntime as ort
from pydantic import BaseModel, Field

class Row(BaseModel, extra="forbid", populate_by_name=True):
    temp: float | None = None
    wind: float = Field(alias="wind speed")
    carrier: str | None = None
    tail: str

@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Plain:
    def __init__(self):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession("model.onnx", options)

    @bentoml.api
    def predict(self, rows: list[Row]) -> list[dict]:
        fed = {
            "temp": np.array([np.nan if row.temp is None else row.temp for row in rows]),
            "wind speed": np.array([row.wind for row in rows]),
            "carrier": np.array([row.carrier or "" for row in rows], object),
            "tail": np.array([row.tail for row in rows], object),
        }
        prediction, chance = self.session.run(["prediction", "probability"], fed)
        return [{"prediction": int(p), "probability": float(c)} for p, c in zip(prediction, chance)]
"""


def ours(folder: Path) -> tuple[Program, int]:
    """Our service, with its champion in the cache and no registry (it starts without)."""
    environment = Environment(home=folder / "home", service_port=free_port(), tracking_uri="http://127.0.0.1:9")
    cached = environment.cache() / "bench" / "1"
    cached.mkdir(parents=True)
    variant, split = tiny.variant(0.0, cached), tiny.split(folder)
    shutil.copy(split.reference.path, cached / "reference.parquet")
    (cached / "schema.json").write_text(tiny.SCHEMA.to_json())
    _write_manifest(cached)
    champion = ModelVersion("bench", 1, "run", variant.sha256)
    (cached.parent / "champion.json").write_text(json.dumps(asdict(champion)))
    project_file = folder / "bench.yaml"
    # Seldom polled: a registry that is down costs a retry at each look, which is no part of a request.
    project_file.write_text(tiny.PROJECT.format(name="bench").replace("poll_seconds: 0.2", "poll_seconds: 600"))
    command, variables = serve_command(environment, project_file, 1)
    return Program(command, {**os.environ, **variables}, folder / "ours.log"), environment.service_port


def plain(folder: Path) -> tuple[Program, int]:
    """The plain service."""
    (folder / "plain.py").write_text(PLAIN)
    tiny.graph(0.0, folder / "model.onnx")
    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", "plain:Plain", "--working-dir", str(folder)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    env = {**os.environ, "BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(folder / "bentoml")}
    return Program(command, env, folder / "plain.log"), port


def measure(program: Program, port: int, folder: Path, seconds: int) -> tuple[float, float, float]:
    """Requests a second, the 99th percentile in ms, and CPU microseconds of the worker for a request."""
    script = folder / "row.lua"
    body = json.dumps({"rows": [ROW]})
    script.write_text(f"wrk.method='POST'\nwrk.headers['content-type']='application/json'\nwrk.body=[[{body}]]\n")
    worker = _worker(program)
    before = sum(worker.cpu_times()[:2])
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(script)]
    told = subprocess.run([*command, f"http://127.0.0.1:{port}/predict"], capture_output=True, text=True, check=True)
    cpu = sum(worker.cpu_times()[:2]) - before
    if "Non-2xx" in told.stdout:
        raise SystemExit(f"wanted answers of 200 only, found:\n{told.stdout}")
    words = told.stdout.split()
    requests = int(words[words.index("requests") - 1])
    return float(words[words.index("Requests/sec:") + 1]), _ms(words[words.index("99%") + 1]), cpu / requests * 1e6


def main() -> None:
    """Measure both in turns, and print the medians and their ratio."""
    if shutil.which("wrk") is None:
        raise SystemExit("wanted the program wrk, found none on the PATH; apt-get install wrk")
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        services = {"ours, with ledger": ours(folder), "plain @bentoml.api": plain(folder)}
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in services}
        try:
            for program, port in services.values():
                program.start()
                wait_for(functools.partial(_ready, port), why=program.log.read_text)
            for _ in range(TURNS):
                for name, (program, port) in services.items():
                    found[name].append(measure(program, port, folder, seconds))
        finally:
            for program, _ in services.values():
                if program.process is not None:
                    program.kill()
    _print(found)


def _print(found: dict[str, list[tuple[float, float, float]]]) -> None:
    medians = {
        name: [statistics.median(values) for values in zip(*turns, strict=True)] for name, turns in found.items()
    }
    first, second = medians.values()
    print(f"{'':22}{'requests/s':>12}{'p99 ms':>10}{'CPU us/request':>16}")
    for name, (rate, p99, cpu) in medians.items():
        print(f"{name:22}{rate:12.0f}{p99:10.1f}{cpu:16.0f}")
    ratios = [one / other for one, other in zip(first, second, strict=True)]
    print(f"{'ours / plain':22}{ratios[0]:12.2f}{ratios[1]:10.2f}{ratios[2]:16.2f}")


def _write_manifest(folder: Path) -> None:
    from components.registry.packing import GRAPH, MANIFEST, REFERENCE, SCHEMA, Manifest, file_sha256

    files = {name: file_sha256(folder / name) for name in (GRAPH, SCHEMA, REFERENCE)}
    (folder / MANIFEST).write_text(Manifest("bench", files, {}, "c" * 64).to_json())


def _ready(port: int) -> bool:
    return get(port, "/readyz")[0] == 200


def _worker(program: Program) -> psutil.Process:
    assert program.process is not None
    children = psutil.Process(program.process.pid).children()
    return next(child for child in children if "_bentoml_impl.worker.service" in child.cmdline())


def _ms(text: str) -> float:
    """wrk's way to write a time, in milliseconds."""
    for unit, factor in (("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise ValueError(f"wanted a time such as 4.2ms, found {text}")


if __name__ == "__main__":
    main()

"""A candidate is tried out before it may be promoted: the real server loads it and answers real rows as the graph does.

The server is a process of its own on a free port of the loopback, with a throwaway home and pinned to the candidate:
nothing of the trial reaches the real ledger, registry or counters, and no alias can swap the version under it.
"""

import logging
import math
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import numpy.typing as npt
import onnxruntime
from pyarrow import parquet

from components.data.feeds import feeds
from components.records.models import ModelFiles, ModelVersion
from components.records.rows import Part, Schema
from components.records.scores import Rule
from components.serving.command import ROOT, without_keys, worker_command
from components.serving.predictor import OUTPUTS
from components.settings.environment import Environment
from components.settings.reading import load_project

log = logging.getLogger(__name__)

Row = dict[str, Any]

NAME = "sandbox"
LOOPBACK = "127.0.0.1"
# Of a float32 output near 1; the same graph on the same rows gives the very same numbers.
TOLERANCE = 1e-5
# As most applications ask: so many of the rows go one by one, the others in two requests.
SINGLE_ROWS = 3
LOOK_SECONDS = 0.02
# It has answered all; what takes longer than this to stop has nothing left to do.
STOP_SECONDS = 5
ANSWER_SECONDS = 30
LOG_LINES = 8


class _Failed(Exception):
    """Why the candidate did not pass; never leaves this file."""


@dataclass(slots=True)
class _Server:
    """The server in the sandbox."""

    process: subprocess.Popen[bytes]
    client: httpx.Client
    log: Path


def try_out(files: ModelFiles, project_file: Path, environment: Environment, part: Part, *, rows: int) -> Rule:
    """The rule `sandbox`: passed if a real server loads the version and answers these rows as the bare graph does.

    Whatever goes wrong (it does not start, refuses, answers something else) is a rule that failed, with the reason and
    the end of the server's log.

    Args:
        files: The candidate's files, as fetched from the registry.
        project_file: The project that the server serves.
        environment: Where things run; only its patience (`start_seconds`) reaches the sandbox.
        part: Rows to ask, spread evenly over the part.
        rows: How many; all of them if there are fewer.
    """
    started = time.monotonic()
    version = files.version
    wanted = f"a server in a sandbox must answer {rows} rows as the graph of version {version.version} does"
    try:
        detail = _try(files, project_file, environment, part, rows)
        rule = Rule(NAME, True, f"{wanted}, and did: {detail}")
    except Exception as err:  # noqa: BLE001 - closed by default: whatever keeps the trial from its end is a refusal
        reason = str(err) if isinstance(err, _Failed) else f"{type(err).__name__}: {err}"
        rule = Rule(NAME, False, f"{wanted}, but {reason}")
    seconds = time.monotonic() - started
    log.info(
        "sandbox tried model=%s version=%d passed=%s seconds=%.1f", version.name, version.version, rule.passed, seconds
    )
    return rule


def _try(files: ModelFiles, project_file: Path, environment: Environment, part: Part, rows: int) -> str:
    """What was seen, in words."""
    asked = _rows(part, files.schema, rows)
    batches = _batches(asked, load_project(project_file).serving.max_rows)
    started = time.monotonic()
    with _serving(files, project_file, environment) as server:
        try:
            ready_seconds = _wait(server, started, environment.start_seconds)
            _check_loaded(server.client, files.version)
            differences = [_ask(server.client, files, batch) for batch in batches]
        except (_Failed, httpx.HTTPError, ValueError) as err:
            raise _Failed(f"{err}; its log ends: {_tail(server.log)}") from err
    return (
        f"{len(asked)} rows in {len(batches)} requests, largest difference {max(differences):.2g} (allowed "
        f"{TOLERANCE:g}), ready after {ready_seconds:.1f} s"
    )


@contextmanager
def _serving(files: ModelFiles, project_file: Path, environment: Environment) -> Iterator[_Server]:
    """A server that starts with nothing but the candidate; it is gone at the end, whatever happened."""
    with tempfile.TemporaryDirectory(prefix="everfit-sandbox-") as folder, socket.socket() as listener:
        # Bound here and handed over, so that nobody else can take the port before the server listens on it.
        listener.bind((LOOPBACK, 0))
        port = int(listener.getsockname()[1])
        sandbox = _environment(environment, files, Path(folder), port)
        shutil.copytree(files.graph.parent, sandbox.cache() / files.version.name / str(files.version.version))
        output = Path(folder) / "server.log"
        command, variables = worker_command(sandbox, project_file, listener.fileno())
        with output.open("wb") as stream:
            process = subprocess.Popen(  # noqa: S603 - our own command
                command,
                cwd=ROOT,
                env=without_keys(os.environ) | variables,
                pass_fds=[listener.fileno()],
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            with httpx.Client(base_url=sandbox.service, timeout=ANSWER_SECONDS, trust_env=False) as client:
                yield _Server(process, client, output)
        finally:
            _stop(process)


def _environment(environment: Environment, files: ModelFiles, folder: Path, port: int) -> Environment:
    """A home of its own, no way to the real registry, and no keys: nobody else knows where it listens."""
    return environment.model_copy(
        update={
            "home": folder / "home",
            "host": LOOPBACK,
            "service_port": port,
            "service_url": f"http://{LOOPBACK}:{port}",
            "tracking_uri": None,
            "pinned_version": files.version.version,
            "api_keys": None,
            "api_keys_file": None,
        }
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait(server: _Server, started: float, patience_seconds: float) -> float:
    """Seconds until it was ready; a server that answers but is not ready has tried and will not become it."""
    while True:
        seconds = time.monotonic() - started
        if server.process.poll() is not None:
            raise _Failed(f"it ended with exit status {server.process.returncode} after {seconds:.1f} s")
        if seconds > patience_seconds:
            raise _Failed(f"it was not ready within {patience_seconds:g} s; is the machine busy?")
        try:
            answer = server.client.get("/readyz")
        except httpx.TransportError:
            time.sleep(LOOK_SECONDS)
            continue
        if answer.status_code != httpx.codes.OK:
            raise _Failed(f"it is not ready ({answer.status_code}): {answer.text}")
        return seconds


def _check_loaded(client: httpx.Client, version: ModelVersion) -> None:
    """What was loaded is the file that was registered, not merely one that its own manifest vouches for."""
    found = client.get("/model").json().get("sha256")
    if found != version.sha256:
        raise _Failed(f"it loaded the graph {found}, and {version.sha256} was registered")


def _rows(part: Part, schema: Schema, count: int) -> list[Row]:
    """Rows of the part as an application would send them, evenly spread."""
    names = [column.name for column in schema.features] + [schema.timestamp] + ([schema.id] if schema.id else [])
    table = parquet.read_table(part.path, columns=names)
    if not table.num_rows:
        raise _Failed(f"there is no row to ask in {part.path}")
    places = np.unique(np.linspace(0, table.num_rows - 1, min(count, table.num_rows)).astype(np.int64))
    rows: list[Row] = table.take(places).to_pylist()
    return rows


def _batches(rows: list[Row], max_rows: int) -> list[list[Row]]:
    """The rows as requests: some of one row, the others in two, or more where a request may not hold so many."""
    single, others = rows[:SINGLE_ROWS], rows[SINGLE_ROWS:]
    size = min(max_rows, math.ceil(len(others) / 2))
    return [[row] for row in single] + [others[first : first + size] for first in range(0, len(others), size or 1)]


def _ask(client: httpx.Client, files: ModelFiles, rows: list[Row]) -> float:
    """The largest difference between the server's answers and the graph's own to the same rows."""
    body = msgspec.json.encode({"rows": rows})
    answer = client.post("/predict", content=body, headers={"content-type": "application/json"})
    if answer.status_code != httpx.codes.OK:
        raise _Failed(f"a request of {len(rows)} rows was answered with {answer.status_code}: {answer.text}")
    facts = answer.json()
    version = files.version
    if (facts.get("model"), facts.get("version")) != (version.name, version.version):
        raise _Failed(f"version {facts.get('version')} of {facts.get('model')} answered")
    found = _figures(facts["predictions"], files.schema)
    difference = max(_difference(found[name], own) for name, own in _own_answers(files, rows).items())
    if not difference <= TOLERANCE:  # also when it is no number
        raise _Failed(f"its answers to {len(rows)} rows differ by {difference:.2g}, and {TOLERANCE:g} is allowed")
    return difference


def _figures(predictions: list[Row], schema: Schema) -> dict[str, npt.NDArray[Any]]:
    """What was answered, as the graph's outputs are: a class by its number, chances in the order of the classes."""
    answered: dict[str, list[Any]] = {name: [one[name] for one in predictions] for name in OUTPUTS[schema.target_kind]}
    if schema.target_kind == "multiclass":
        answered["prediction"] = [schema.classes.index(name) for name in answered["prediction"]]
        answered["probabilities"] = [[one[name] for name in schema.classes] for one in answered["probabilities"]]
    return {name: np.asarray(values, dtype=np.float64) for name, values in answered.items()}


def _own_answers(files: ModelFiles, rows: list[Row]) -> dict[str, npt.NDArray[Any]]:
    """What onnxruntime makes of the registered file, without any of the server's code."""
    session = onnxruntime.InferenceSession(files.graph.read_bytes(), providers=["CPUExecutionProvider"])
    columns = {column.name: [row[column.name] for row in rows] for column in files.schema.features}
    names = list(OUTPUTS[files.schema.target_kind])
    return dict(zip(names, session.run(names, feeds(columns, files.schema)), strict=True))


def _difference(found: npt.NDArray[Any], own: npt.NDArray[Any]) -> float:
    """The largest difference, of values above 1 as a share of the value."""
    if found.shape != own.shape:
        return math.inf
    return float(np.max(np.abs(found - own) / np.maximum(1.0, np.abs(own))))


def _tail(file: Path) -> str:
    """The end of the server's log in one line."""
    lines = file.read_text(errors="replace").splitlines()[-LOG_LINES:]
    return " | ".join(line.strip() for line in lines if line.strip()) or "nothing"

"""A real MLflow server, a real `bentoml serve`, and versions of a tiny model between them."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient

from components.data.ledger import (
    LABELS,
    PREDICTIONS,
    LabelBatch,
    PredictionBatch,
    read_labels,
    read_predictions,
    segment_folder,
)
from components.data.segments import read_frames, segments
from components.records.models import ModelVersion
from components.registry.registering import register
from components.registry.tracking import connect
from components.serving.command import serve_command
from components.settings.environment import Environment
from components.settings.reading import load_project
from tests.components.serving import tiny

NAME = "tiny-flights"
START_SECONDS = 90


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: Callable[[], Any], *, seconds: float = START_SECONDS, why: Callable[[], str] = str) -> Any:
    """What `what` returns, once that is true."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"not within {seconds} s: {why()}"
        time.sleep(0.1)
    return found


@dataclass
class Program:
    """A server in a process group of its own, which can be killed and started again.

    Attributes:
        command: What is started.
        env: Its whole environment.
        log: File that takes its output.
    """

    command: list[str]
    env: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                env=self.env,
                cwd=self.log.parent,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End all of its processes at once (BentoML puts each worker into a group of its own)."""
        assert self.process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            whole = psutil.Process(self.process.pid)
            for one in [*whole.children(recursive=True), whole]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
        self.process.wait(30)


@dataclass
class Registry:
    """An MLflow server on SQLite, and the versions of the tiny model in it."""

    program: Program
    port: int
    folder: Path
    versions: dict[float, ModelVersion] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.program.start()
        self.wait()

    def wait(self) -> None:
        wait_for(lambda: get(self.port, "/health")[0] == 200, why=self.program.log.read_text)

    def version(self, project_file: Path, bias: float) -> ModelVersion:
        """The version with that bias, registered when it is first asked for."""
        self._connect()
        if bias not in self.versions:
            folder = self.folder / f"bias-{bias}"
            folder.mkdir()
            project = load_project(project_file)
            self.versions[bias] = register(
                project,
                tiny.lineage(project),
                tiny.split(folder),
                tiny.fitted(folder),
                tiny.workshop(bias, folder),
                tiny.scorecard(),
            )
        return self.versions[bias]

    def point(self, version: ModelVersion) -> None:
        """Give the alias to a version."""
        self._connect()
        MlflowClient().set_registered_model_alias(version.name, "champion", str(version.version))

    def _connect(self) -> None:
        """MLflow's addresses are one for the whole process, and other rooms' tests move them in between."""
        connect(Environment(tracking_uri=self.address))


@dataclass
class Service:
    """A BentoML service, its project and its ledger."""

    program: Program
    environment: Environment
    project_file: Path
    registry: Registry
    before: dict[str, tuple[int, Any]] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return self.environment.service_port

    @property
    def address(self) -> str:
        return self.environment.service

    def start(self) -> None:
        self.program.start()
        wait_for(lambda: get(self.port, "/livez")[0] == 200, why=self.program.log.read_text)

    def serve(self, bias: float) -> ModelVersion:
        """Point the alias at the version with that bias, and wait until it answers."""
        version = self.registry.version(self.project_file, bias)
        self.registry.point(version)
        self.wait_until_live(version)
        return version

    def wait_until_live(self, version: ModelVersion) -> None:
        wait_for(lambda: self.model().get("version") == version.version, seconds=30, why=lambda: str(self.model()))

    def model(self) -> dict[str, Any]:
        facts: dict[str, Any] = get(self.port, "/model")[1] or {}
        return facts

    def predict(self, *rows: dict[str, Any]) -> tuple[int, Any]:
        return post(self.port, "/predict", {"rows": list(rows)})

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        assert self.program.process is not None
        children = psutil.Process(self.program.process.pid).children()
        return [child.pid for child in children if b"_bentoml_impl.worker.service" in _command_line(child.pid)]

    def recorded(self) -> list[PredictionBatch]:
        """Every batch in the ledger."""
        return [read_predictions(frame) for frame in self._frames(PREDICTIONS)]

    def recorded_ids(self) -> Counter[str]:
        return Counter(name for batch in self.recorded() for name in batch.ids)

    def labelled(self) -> list[LabelBatch]:
        """Every batch of labels."""
        return [read_labels(frame) for frame in self._frames(LABELS)]

    def _frames(self, kind: str) -> list[bytes]:
        folder = segment_folder(self.environment.ledger(NAME))
        return [frame for file in segments(folder, kind) for frame in read_frames(file)[0]]


def _command_line(pid: int) -> bytes:
    """Words of a process; none if it is gone or only waits to be buried."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def get(port: int, path: str) -> tuple[int, Any]:
    """Status and answer of a GET; status 0 if nobody answers."""
    return send(port, "GET", path)


def post(port: int, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    """Status and answer of a POST of JSON, or of bytes as they are."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return send(port, "POST", path, sent, {"content-type": "application/json"} | headers)


def send(port: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """Status and answer (JSON if it is JSON, else text); status 0 if nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read().decode()
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return answer.status, json.loads(text) if is_json else text
    except OSError:
        return 0, None
    finally:
        connection.close()


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """An MLflow server that runs."""
    folder = tmp_path_factory.mktemp("registry")
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--serve-artifacts"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    made = Registry(Program(command, env, folder / "mlflow.log"), port, folder)
    made.program.start()
    try:
        yield made
    finally:
        made.program.kill()


@pytest.fixture(scope="session")
def service(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that answers with bias 0; what it said while there was no champion stands in `before`."""
    folder = tmp_path_factory.mktemp("service")
    project_file = tiny.write_project(folder, NAME)
    environment = Environment(home=folder / "home", service_port=free_port(), tracking_uri=registry.address)
    command, variables = serve_command(environment, project_file, workers=1)
    program = Program(command, {**os.environ, **variables}, folder / "service.log")
    made = Service(program, environment, project_file, registry)
    made.program.start()
    try:
        registry.wait()
        connect(environment)
        wait_for(lambda: get(made.port, "/livez")[0] == 200, why=made.program.log.read_text)
        wait_for(lambda: "no version has" in made.model().get("last_error", ""), why=made.program.log.read_text)
        made.before = {path: get(made.port, path) for path in ("/livez", "/readyz", "/model", "/docs.json")}
        made.before["/predict"] = made.predict(tiny.row())
        made.serve(0.0)
        yield made
    finally:
        made.program.kill()


@pytest.fixture
def champion(service: Service) -> ModelVersion:
    """The version with bias 0, answering, whatever the test before left behind."""
    if service.program.process is None or service.program.process.poll() is not None:
        service.start()
    return service.serve(0.0)

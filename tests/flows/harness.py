"""What the tests of the flows do with a running stack."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import mlflow
import psutil
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment

from components.serving.rollout import live_columns
from components.settings.environment import Environment
from components.settings.project import Project
from flows.stack import state
from flows.stack.ports import free_port

T = TypeVar("T")


@contextmanager
def another_registry() -> Iterator[None]:
    """Afterwards MLflow points where it did before: the session's stack is connected to once."""
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])


@dataclass
class Harness:
    """A running stack and the project it serves."""

    environment: Environment
    project: Project

    def start(self, flow_name: str, **parameters: object) -> FlowRun:
        """A run of a deployment, without waiting for it."""
        name = f"{flow_name}/{self.project.name}"
        run = run_deployment(name, parameters=parameters, timeout=0, as_subflow=False)
        assert isinstance(run, FlowRun)
        return run

    def run(self, flow_name: str, seconds: float = 240, **parameters: object) -> FlowRun:
        """A run of a deployment, completed."""
        run = self.wait(self.start(flow_name, **parameters), seconds)
        assert run.state is not None
        assert run.state.is_completed(), f"{flow_name}: {run.state.name}: {run.state.message}\n{self.log('runner')}"
        return run

    def wait(self, run: FlowRun, seconds: float = 240) -> FlowRun:
        """The run, once it has ended."""

        def ended() -> FlowRun | None:
            found = self.flow_run(run)
            return found if found.state is not None and found.state.is_final() else None

        return eventually(ended, seconds, what=f"flow run {run.name} to end")

    def flow_run(self, run: FlowRun) -> FlowRun:
        """The run as the server knows it now."""
        with get_client(sync_client=True) as client:
            return client.read_flow_run(run.id)

    def runs(self, flow_name: str) -> list[FlowRun]:
        """Every run of a flow, oldest first."""
        from prefect.client.schemas.filters import FlowFilter, FlowFilterName

        with get_client(sync_client=True) as client:
            found = client.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=[flow_name])))
        return sorted(found, key=lambda run: str(run.created))

    def ended_runs(self, flow_name: str, decision_id: str) -> list[FlowRun]:
        """Every run of a flow for a decision, once all have ended."""

        def ended() -> list[FlowRun] | None:
            runs = [run for run in self.runs(flow_name) if run.parameters.get("decision_id") == decision_id]
            return runs if all(run.state is not None and run.state.is_final() for run in runs) else None

        return eventually(ended, 120, what=f"the runs of {flow_name} to end")

    def columns(self) -> list[str]:
        """The raw columns that the endpoint asks for."""
        return live_columns(self.environment.service)

    def pid(self, server: str) -> int:
        """Process id of a server."""
        stack = state.read(self.environment)
        assert stack is not None
        return stack.server(server).pid

    def kill(self, server: str) -> int:
        """Kill a server the hard way; its process id."""
        pid = self.pid(server)
        os.kill(pid, signal.SIGKILL)
        return pid

    def log(self, server: str, lines: int = 40) -> str:
        """The end of a server's log."""
        path = self.environment.folder / "logs" / f"{server}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def free_environment(home: Path) -> Environment:
    """A home folder with ports that are free now."""
    names = ("mlflow_port", "prefect_port", "service_port", "evidently_port", "runner_port")
    return Environment(home=home, start_seconds=180, **{name: free_port() for name in names})


def eventually(look: Callable[[], T | None], seconds: float, *, what: str) -> T:
    """The first true thing that `look` sees, within that time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.2)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")


def is_alive(pid: int) -> bool:
    """Whether the process is there and is not a zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

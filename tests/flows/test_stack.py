"""`everfit up`: servers are started, watched, restarted and stopped; a taken port is said before anything starts."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from components.settings.environment import Environment
from flows.stack import state
from flows.stack.background import as_variables
from flows.stack.ports import free_port, is_free, refuse_taken
from tests.flows.harness import Harness, eventually, free_environment, is_alive

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack")]


def test_every_server_answers_on_its_own_port(stack: Harness):
    """After `everfit up` each server says that it is healthy, at the address that was printed."""
    running = state.read(stack.environment)

    assert running is not None
    assert {server.name for server in running.servers} == {"mlflow", "prefect", "service", "evidently", "runner"}
    assert len({server.address for server in running.servers}) == 5
    for server in running.servers:
        path = "/health" if server.name == "runner" else "/"
        assert httpx.get(server.address + path, timeout=20).status_code == 200, server.name


def test_a_killed_server_is_started_again(stack: Harness):
    """A server that dies comes back on its port, with another process."""
    address = f"http://{stack.environment.host}:{stack.environment.evidently_port}/api/version"
    before = stack.kill("evidently")

    eventually(lambda: stack.pid("evidently") != before, 30, what="a new process")
    eventually(lambda: _answers(address), 60, what="evidently to answer again")

    assert not is_alive(before)


def test_a_second_stack_in_the_same_home_is_refused(stack: Harness, project_file: Path):
    """Two supervisors would restart each other's servers; the second says who is there and what to do."""
    done = _everfit(stack.environment, "up", str(project_file))

    assert done.returncode == 1
    assert "a stack runs there already; stop it with everfit down" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_named_with_its_setting(tmp_path: Path, project_file: Path):
    """`everfit up` starts nothing when someone listens on a port, and says which setting moves it."""
    environment = free_environment(tmp_path / "home")
    with socket.create_server(("127.0.0.1", environment.mlflow_port)):
        done = _everfit(environment, "up", str(project_file))

    assert done.returncode == 1
    assert f"mlflow wants to listen on 127.0.0.1:{environment.mlflow_port}" in done.stderr
    assert f"EVERFIT_MLFLOW_PORT={environment.mlflow_port + 1}" in done.stderr
    assert not (tmp_path / "home" / "logs" / "mlflow.log").exists()


def test_a_free_port_is_not_refused():
    """Nobody listens there: no error."""
    port = free_port()

    refuse_taken("mlflow", "127.0.0.1", port, "EVERFIT_MLFLOW_PORT")

    assert is_free("127.0.0.1", port)


def test_down_without_servers_says_so(tmp_path: Path):
    """`everfit down` where nothing runs is no error."""
    done = _everfit(free_environment(tmp_path), "down")

    assert done.returncode == 0
    assert "no servers are running" in done.stdout


@pytest.mark.slow
def test_down_stops_every_process(tmp_path: Path, project_file: Path):
    """After `everfit down` none of the processes is left, and the ports are free again."""
    environment = free_environment(tmp_path / "home")
    log = (tmp_path / "up.log").open("w")
    up = subprocess.Popen(
        [sys.executable, "-m", "flows", "up", str(project_file)], env=os.environ | as_variables(environment), stdout=log
    )
    running = eventually(lambda: _ready(environment), 180, what="the stack")
    assert isinstance(running, state.Stack)

    done = _everfit(environment, "down")

    assert done.returncode == 0, done.stderr
    assert up.wait(30) == 0
    assert not any(is_alive(server.pid) for server in running.servers)
    assert all(is_free("127.0.0.1", port) for port in (environment.mlflow_port, environment.service_port))
    assert "mlflow" in (tmp_path / "up.log").read_text()


def _ready(environment: Environment) -> state.Stack | None:
    stack = state.read(environment)
    return stack if stack and stack.ready else None


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def _everfit(environment: Environment, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows", *arguments]
    return subprocess.run(
        command, env=os.environ | as_variables(environment), capture_output=True, text=True, timeout=120, check=False
    )

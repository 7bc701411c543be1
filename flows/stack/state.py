"""What is written down about a running stack, so that other commands find it: `run/stack.json` in the home folder."""

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import psutil

from components.errors import ServerError
from components.settings.environment import Environment


@dataclass(frozen=True)
class Running:
    """One server of a running stack."""

    name: str
    pid: int
    address: str
    log: str
    restarts: int = 0


@dataclass(frozen=True)
class Stack:
    """A running stack.

    Attributes:
        pid: Process id of the supervisor.
        project_file: The project it serves.
        ready: Whether every server has become healthy.
        addresses: Environment variables by which clients find the servers.
        servers: The servers.
    """

    pid: int
    project_file: str
    ready: bool
    addresses: dict[str, str]
    servers: tuple[Running, ...]

    def server(self, name: str) -> Running:
        """The server of that name.

        Raises:
            ServerError: If the stack has none of that name.
        """
        for server in self.servers:
            if server.name == name:
                return server
        raise ServerError(f"wanted the server {name!r}, found {[s.name for s in self.servers]}; see everfit status")


def _folder(environment: Environment) -> Path:
    return environment.folder / "run"


def write(environment: Environment, stack: Stack) -> None:
    """Write the state in one step, so that no reader sees half of it."""
    folder = _folder(environment)
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"stack.json.{os.getpid()}"
    draft.write_text(json.dumps(asdict(stack), indent=2))
    draft.replace(folder / "stack.json")


def read(environment: Environment) -> Stack | None:
    """The running stack, or None if there is none (a file left by one that was killed does not count)."""
    try:
        facts = json.loads((_folder(environment) / "stack.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    servers = tuple(Running(**server) for server in facts.pop("servers"))
    stack = Stack(**facts, servers=servers)
    return stack if psutil.pid_exists(stack.pid) and _is_locked(environment) else None


def forget(environment: Environment) -> None:
    """Remove the state of a stack that has stopped."""
    (_folder(environment) / "stack.json").unlink(missing_ok=True)


@contextmanager
def only_one(environment: Environment) -> Iterator[None]:
    """Holds the home folder for this supervisor.

    Raises:
        ServerError: If another stack runs in this home folder.
    """
    folder = _folder(environment)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise ServerError(
                f"wanted to start the servers in {environment.folder}, but a stack runs there already; "
                "stop it with everfit down, or choose another folder with EVERFIT_HOME"
            ) from err
        yield


def embed_prefect() -> str:
    """Let flows run in this process if the Prefect server does not answer; its address then, else nothing.

    A decision that is made meanwhile stays open in the outbox: it is carried out when the server is back, or by
    `everfit reconcile` at once.
    """
    address = os.environ.get("PREFECT_API_URL", "")
    if not address:
        return ""
    try:
        httpx.get(f"{address}/health", timeout=5).raise_for_status()
    except httpx.HTTPError:
        del os.environ["PREFECT_API_URL"]
        return address
    return ""


def _is_locked(environment: Environment) -> bool:
    with (_folder(environment) / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def stop(environment: Environment, *, seconds: float = 60) -> Stack | None:
    """Ask the running stack to stop and wait until it is gone; the stack that was stopped, or None.

    Raises:
        ServerError: If it is still there after that time.
    """
    stack = read(environment)
    if stack is None:
        return None
    os.kill(stack.pid, signal.SIGTERM)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if read(environment) is None:
            return stack
        time.sleep(0.1)
    raise ServerError(
        f"wanted the stack to stop within {seconds:.0f} s, but its supervisor (process {stack.pid}) still runs; "
        f"look into {environment.folder}/logs, then end that process"
    )


def join_running(environment: Environment) -> Environment:
    """The environment with the addresses of the running stack in it, where none were given by hand.

    Also sets them in this process's own variables, because MLflow's and Prefect's clients look there.
    """
    stack = read(environment)
    if stack is not None:
        for name, value in stack.addresses.items():
            os.environ.setdefault(name, value)
    return Environment()

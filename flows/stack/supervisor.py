"""Starts the servers, waits until each is healthy, restarts one that dies, stops them all. Runs in the foreground."""

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from components.errors import ServerNotHealthy
from components.settings.environment import Environment
from flows.stack import state
from flows.stack.ports import refuse_taken
from flows.stack.servers import Server, addresses, servers

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
# Longer than the service lets a request in flight finish.
STOP_SECONDS = 25
# A server that dies five times in a minute will die a sixth time: from then on it is tried every 15 s, so that a full
# disk or a broken file does not make the stack spin.
RESTARTS_A_MINUTE = 5
SLOW_RESTART_SECONDS = 15.0
PR_SET_PDEATHSIG = 1


@dataclass
class Child:
    """One server as a process of ours."""

    server: Server
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    restarts: int = 0
    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=RESTARTS_A_MINUTE))
    healthy: bool = False

    @property
    def pid(self) -> int:
        """Process id, or 0 before the start."""
        return self.process.pid if self.process else 0

    def is_dead(self) -> bool:
        """Whether it was started and has ended."""
        return self.process is not None and self.process.poll() is not None

    def may_start(self) -> bool:
        """Whether it is time to start it again."""
        often = len(self.deaths) == RESTARTS_A_MINUTE and time.monotonic() - self.deaths[0] < 60
        return not often or time.monotonic() - self.deaths[-1] >= SLOW_RESTART_SECONDS


class Supervisor:
    """The parent of the local servers.

    Args:
        environment: Folders and ports.
        project_file: The project whose endpoint and deployments are served.
        say: Takes each line that a person should see.
    """

    def __init__(self, environment: Environment, project_file: Path, say: Callable[[str], None]) -> None:
        self._environment = environment
        self._project_file = project_file.resolve()
        self._say = say
        self._children = [Child(server) for server in servers(environment, self._project_file)]
        self._stopping = False
        self._ready = False

    def run(self, *, until_signal: bool = True) -> None:
        """Start everything, watch it until SIGINT or SIGTERM, stop everything.

        Raises:
            ServerError: If another stack runs in this home folder.
            PortInUse: If someone listens on a port that a server should have; nothing has been started then.
            ServerNotHealthy: If a server does not become healthy in time; all are stopped again.
        """
        with state.only_one(self._environment):
            self._refuse_taken_ports()
            for name in (signal.SIGINT, signal.SIGTERM):
                signal.signal(name, self._on_signal)
            try:
                self._start_all()
                while until_signal and not self._stopping:
                    self._mend()
                    time.sleep(POLL_SECONDS)
            finally:
                self._stop_all()
                state.forget(self._environment)

    def _on_signal(self, number: int, frame: object) -> None:
        self._stopping = True

    def _refuse_taken_ports(self) -> None:
        for child in self._children:
            server = child.server
            if server.port is not None:
                refuse_taken(server.name, self._environment.host, server.port, server.port_setting)

    def _start_all(self) -> None:
        end = time.monotonic() + self._environment.start_seconds
        for folder in ("logs", "mlflow", "prefect", "evidently"):
            (self._environment.folder / folder).mkdir(parents=True, exist_ok=True)
        while not self._stopping and not all(child.healthy for child in self._children):
            for child in self._children:
                self._advance(child)
            if time.monotonic() > end:
                raise self._not_healthy()
            time.sleep(POLL_SECONDS)
        self._ready = not self._stopping
        self._write()

    def _advance(self, child: Child) -> None:
        """Take one server one step further: start it when those it needs are healthy, note when it is healthy."""
        if child.process is None and self._are_healthy(child.server.after):
            self._spawn(child)
        elif child.is_dead():
            self._restart(child)
        elif child.process is not None and not child.healthy and answers(child.server):
            child.healthy = True
            self._say(f"{child.server.name:<10} {child.server.address:<24} healthy")

    def _are_healthy(self, names: tuple[str, ...]) -> bool:
        return all(child.healthy for child in self._children if child.server.name in names)

    def _spawn(self, child: Child) -> None:
        child.server.log.parent.mkdir(parents=True, exist_ok=True)
        with child.server.log.open("ab") as output:
            child.process = subprocess.Popen(  # noqa: S603 - our own commands
                child.server.command,
                env=os.environ | child.server.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._project_file.parent,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - this process has no other threads
            )
        child.started = time.monotonic()
        self._write()

    def _mend(self) -> None:
        for child in self._children:
            if child.is_dead():
                self._restart(child)
            elif child.process is not None and not child.healthy and answers(child.server):
                child.healthy = True
                self._say(f"{child.server.name} is healthy again")

    def _restart(self, child: Child) -> None:
        if child.process is not None:
            code = child.process.returncode
            self._say(f"{child.server.name} ended with {_ending(code)}; starting it again (log: {child.server.log})")
            _end_group(child.process.pid, signal.SIGKILL)
            child.deaths.append(time.monotonic())
            child.process, child.healthy = None, False
        if child.may_start():
            child.restarts += 1
            self._spawn(child)

    def _write(self) -> None:
        running = tuple(
            state.Running(c.server.name, c.pid, c.server.address, str(c.server.log), c.restarts) for c in self._children
        )
        found = addresses(self._environment)
        state.write(self._environment, state.Stack(os.getpid(), str(self._project_file), self._ready, found, running))

    def _stop_all(self) -> None:
        # The runner first: a Prefect runner that outlives its server hangs on it for more than a minute.
        for child in sorted(self._children, key=lambda child: child.server.name != "runner"):
            if child.process is not None:
                _stop(child.process)

    def _not_healthy(self) -> ServerNotHealthy:
        late = [child for child in self._children if not child.healthy]
        names = ", ".join(child.server.name for child in late)
        tail = "\n".join(f"--- {c.server.log}\n{_tail(c.server.log)}" for c in late if c.process is not None)
        return ServerNotHealthy(
            f"wanted all servers healthy within {self._environment.start_seconds:.0f} s, but {names} did not answer; "
            f"read the log, or allow more time with EVERFIT_START_SECONDS\n{tail}"
        )


def answers(server: Server) -> bool:
    """Whether the server says that it is healthy."""
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(server.health, timeout=2).status_code == httpx.codes.OK
    return False


def _die_with_parent() -> None:
    # If the supervisor is killed, the kernel ends its servers too: nothing is left that holds a port.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(process: subprocess.Popen[bytes]) -> None:
    children = _descendants(process.pid)
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        log.warning("server did not stop in time and is killed pid=%d seconds=%d", process.pid, STOP_SECONDS)
    _end_group(process.pid, signal.SIGKILL)
    for child in children:
        with contextlib.suppress(psutil.Error):
            child.kill()
    process.wait(STOP_SECONDS)


def _descendants(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=True)
    return []


def _end_group(pid: int, number: signal.Signals) -> None:
    """End what a server left behind in its own process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"


def _tail(path: Path, lines: int = 15) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

"""Flow runs that start at once: a process with everything imported, which forks a ready child for each of them.

A flow run is a process of its own, and importing MLflow, Evidently and torch costs it ten times as long as measuring a
window. So the runner forks this nursery right after its own imports, before it starts a thread or opens a connection,
and the nursery forks a child for each run. Prefect's runner starts a run as `python -m prefect.engine`; here that
`python` is `warm_client.py`, which asks the nursery for a child, passes signals on to it, and ends as it ends. Where
the nursery does not answer, the client becomes the real Python: slower, and nothing else changes.
"""

import atexit
import contextlib
import ctypes
import importlib
import json
import os
import random
import runpy
import selectors
import shutil
import signal
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

PR_SET_PDEATHSIG = 1
CLIENT = Path(__file__).with_name("warm_client.py")
# What only some runs need, and later than at their start: the training process, and what an export to ONNX drags in.
PRELOADED = ("components.training.worker", "onnxscript", "onnx.reference", "torch._export", "torch.onnx.ops")
# What a request may be at most: an environment of some hundred variables.
REQUEST_BYTES = 4 << 20


def start() -> Path:
    """Fork the nursery; the program to start flow runs with instead of Python.

    To be called before this process has started a thread: a child of a process with threads may wait for ever on what
    one of them held.
    """
    folder = Path(tempfile.mkdtemp(prefix="everfit-"))  # readable by this user alone, and short enough for a socket
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(folder / "nursery"))
    listener.listen()
    if os.fork() == 0:
        _end_with_parent()
        Nursery(listener, folder / "python").run()
        os._exit(0)
    listener.close()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    program = folder / "python"
    program.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -S -E "{CLIENT}" "{folder}/nursery" "{sys.executable}" "$@"\n'
    )
    program.chmod(0o700)
    return program


@dataclass
class _Run:
    """One forked child, and the client that waits for it."""

    pid: int
    client: socket.socket


class Nursery:
    """Forks a child for each client that asks, and tells the client how it ended."""

    def __init__(self, listener: socket.socket, program: Path) -> None:
        for module in PRELOADED:
            importlib.import_module(module)
        self._listener = listener
        self._program = program
        self._runs: dict[int, _Run] = {}
        self._ended, wakeup = os.pipe()
        os.set_blocking(wakeup, False)
        os.set_blocking(self._ended, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._ended, selectors.EVENT_READ, self._reap)

    def run(self) -> None:
        """Serve until this process is ended."""
        while True:
            for key, _ in self._selector.select():
                key.data()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        client.settimeout(10)
        try:
            request, descriptors = _receive(client)
        except (OSError, ValueError):
            client.close()
            return
        pid = os.fork()
        if pid == 0:
            self._become(request, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        run = _Run(pid, client)
        self._runs[pid] = run
        self._selector.register(client, selectors.EVENT_READ, lambda: self._heard(run))

    def _heard(self, run: _Run) -> None:
        """A client sends the number of a signal for its run; a client that is gone takes its run with it."""
        with contextlib.suppress(OSError):
            heard = run.client.recv(1)
            with contextlib.suppress(ProcessLookupError):
                os.kill(run.pid, heard[0] if heard else signal.SIGKILL)
            if heard:
                return
        self._forget(run)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._ended, 4096)
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                run = self._runs.pop(ended[0], None)
                if run is not None:
                    with contextlib.suppress(OSError):
                        run.client.sendall(f"{os.waitstatus_to_exitcode(ended[1])}\n".encode())
                    self._forget(run)

    def _forget(self, run: _Run) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(run.client)
        run.client.close()

    def _become(self, request: dict[str, object], descriptors: list[int]) -> None:
        """Turn this fresh fork into the Python that was asked for. Never returns."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._selector.close()
            self._listener.close()
            for run in self._runs.values():
                run.client.close()
            for target, descriptor in enumerate(descriptors):
                os.dup2(descriptor, target)
                os.close(descriptor)
            _end_with_parent()
            sys.executable = str(self._program)  # what a run starts in its turn, such as the training, is warm too
            status = _run(request)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)


def _run(request: dict[str, object]) -> int:
    """Run the module as `python -m` would; its exit code."""
    from prefect.context import refresh_global_settings_context

    environment, arguments = request["environment"], request["arguments"]
    assert isinstance(environment, dict)
    assert isinstance(arguments, list)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(str(request["folder"]))
    random.seed()  # else every run would draw what its siblings draw
    refresh_global_settings_context()
    sys.argv = arguments[1:]
    sys.modules.pop(arguments[1], None)  # imported already, but not yet run as the main module
    try:
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - whatever a script can end with is said, as Python says it
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _receive(client: socket.socket) -> tuple[dict[str, object], list[int]]:
    """The request, one line of JSON, and the client's stdin, stdout and stderr."""
    first, descriptors, _, _ = socket.recv_fds(client, 65536, 3)
    received = bytearray(first)
    while not received.endswith(b"\n"):
        more = client.recv(65536)
        if not more or len(received) > REQUEST_BYTES:
            raise ValueError("the client went away in the middle of its request")
        received += more
    return json.loads(received), descriptors


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

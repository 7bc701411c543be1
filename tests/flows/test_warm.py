"""The nursery: a run that is forked instead of started behaves as if Python had been started."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.harness import eventually, is_alive

# The nursery must be forked by a process without threads, so each test starts one of its own.
PARENT = """
import os, sys, time
from flows.stack import warm
warm.PRELOADED = ()  # these runs need no torch
print(warm.start(), flush=True)
time.sleep(600)
"""


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    """A process that has forked a nursery; it prints the program to use instead of Python."""
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def python(parent: subprocess.Popen[str]) -> str:
    """The program that stands where Python would."""
    assert parent.stdout is not None
    return parent.stdout.readline().strip()


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A module that says what it sees, and does what it is told."""
    (tmp_path / "flows_told.py").write_text(
        textwrap.dedent("""
        import os, signal, sys, time
        print(os.getcwd(), os.environ["SAID"], sys.argv[1:], __name__, os.getpid(), flush=True)
        print("aside", file=sys.stderr, flush=True)
        if sys.argv[1:] == ["wait"]:
            time.sleep(60)
        if sys.argv[1:] == ["die"]:
            os.kill(os.getpid(), signal.SIGKILL)
        if sys.argv[1:] == ["fail"]:
            raise ValueError("this is what went wrong")
        sys.exit(int(sys.argv[1]))
        """)
    )
    return tmp_path


def start(python: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """The module, started as Prefect's runner would."""
    env = os.environ | {"SAID": "hello", "PYTHONPATH": str(folder)}
    return subprocess.Popen(
        [python, "-m", "flows_told", *arguments],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_forked_run_has_its_own_folder_environment_arguments_and_exit_code(python: str, module: Path):
    """What a started Python would have, the fork has too; its output goes where the caller's goes."""
    run = start(python, module, "7")

    out, err = run.communicate(timeout=60)

    assert out.startswith(f"{module} hello ['7'] __main__ ")
    assert "aside" in err
    assert run.returncode == 7


def test_an_uncaught_error_is_said_and_ends_with_1(python: str, module: Path):
    """A run that fails shows its traceback in the log, as Python does."""
    run = start(python, module, "fail")

    _, err = run.communicate(timeout=60)

    assert "ValueError: this is what went wrong" in err
    assert run.returncode == 1


def test_a_killed_run_looks_killed(python: str, module: Path):
    """kill -9 of the run itself: who waits for it sees that signal, so that Prefect calls it crashed."""
    run = start(python, module, "die")

    run.communicate(timeout=60)

    assert run.returncode == -signal.SIGKILL


def test_a_signal_is_passed_on(python: str, module: Path):
    """SIGTERM to what Prefect started ends the run behind it."""
    run = start(python, module, "wait")
    assert run.stdout is not None
    pid = int(run.stdout.readline().split()[-1])

    run.terminate()
    run.communicate(timeout=60)

    assert run.returncode == -signal.SIGTERM
    assert not is_alive(pid)


def test_a_run_ends_with_who_started_it(python: str, module: Path):
    """kill -9 of what Prefect started takes the run with it: no run goes on that nobody knows of."""
    run = start(python, module, "wait")
    assert run.stdout is not None
    pid = int(run.stdout.readline().split()[-1])

    run.kill()

    eventually(lambda: not is_alive(pid), 20, what="the run to end")


def test_every_run_ends_with_the_runner(parent: subprocess.Popen[str], python: str, module: Path):
    """kill -9 of the runner: its nursery and all runs end too."""
    run = start(python, module, "wait")
    assert run.stdout is not None
    pid = int(run.stdout.readline().split()[-1])

    parent.kill()

    eventually(lambda: not is_alive(pid), 20, what="the run to end")


def test_without_a_nursery_python_itself_is_started(parent: subprocess.Popen[str], python: str, module: Path):
    """Slower, but nothing else changes."""
    copy = module / "python"
    copy.write_text(Path(python).read_text().replace("/nursery", "/gone"))
    copy.chmod(0o700)

    run = start(str(copy), module, "3")
    out, _ = run.communicate(timeout=60)

    assert out.startswith(f"{module} hello ['3'] __main__ ")
    assert run.returncode == 3


def test_a_program_that_is_not_a_flow_gets_a_python_of_its_own(python: str, tmp_path: Path):
    """A server in a sandbox inherits its socket, and what measures memory has imported nothing beforehand."""
    (tmp_path / "stranger.py").write_text(
        "import os, sys\nprint(os.read(int(sys.argv[1]), 5), 'prefect' in sys.modules)"
    )
    reading, writing = os.pipe()
    os.write(writing, b"heard")

    done = subprocess.run(
        [python, "-m", "stranger", str(reading)],
        cwd=tmp_path,
        pass_fds=[reading],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == "b'heard' False\n", done.stderr

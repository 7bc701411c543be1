"""The command line: help at once, errors as sentences."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.small import YAML, write_project

HEAVY = ["torch", "mlflow", "prefect", "bentoml", "evidently", "lightning", "polars", "pandas", "onnxruntime"]


def everfit(*arguments: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command, run to its end; with a home of its own it knows of no running stack."""
    command = [sys.executable, "-m", "flows", *arguments]
    env = dict(os.environ)
    if home is not None:
        servers = ("EVERFIT_", "MLFLOW_TRACKING", "PREFECT_")
        env = {name: value for name, value in env.items() if not name.startswith(servers)}
        env |= {"EVERFIT_HOME": str(home)}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)


def test_help_lists_the_commands():
    """`everfit --help` names what there is."""
    done = everfit("--help")

    assert done.returncode == 0
    for name in (
        "demo",
        "up",
        "down",
        "status",
        "check",
        "train",
        "release",
        "monitor",
        "retrain",
        "reconcile",
        "verdict",
        "rollout",
        "advance",
        "approve",
        "key",
    ):
        assert name in done.stdout


def test_help_imports_nothing_heavy():
    """`everfit --help` answers at once, because none of the big packages is imported for it."""
    code = (
        "import sys\n"
        "sys.argv = ['everfit', '--help']\n"
        "from flows.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('HEAVY', [name for name in {HEAVY} if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert "HEAVY []" in done.stdout, done.stdout[-500:] + done.stderr


def test_a_key_is_made_listed_and_removed(tmp_path: Path):
    """The key alone goes to the standard output, once; its file holds the hash, which a list shows by name."""
    file = str(tmp_path / "keys")

    made = everfit("key", "shop", "--scope", "predict,label", "--file", file)
    again = everfit("key", "shop", "--file", file)
    listed = everfit("keys", "--file", file)
    removed = everfit("key", "shop", "--remove", "--file", file)

    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("ek_")
    assert len(made.stdout.split()) == 1
    assert made.stdout.strip() not in made.stderr + listed.stdout
    assert (again.returncode, again.stdout) == (1, "")
    assert "found shop there already" in again.stderr
    assert listed.stdout.split()[:2] == ["shop", "predict,label"]
    assert "shop is removed" in removed.stdout
    assert "wanted a file of keys, found none named" in everfit("keys", home=tmp_path).stderr


def test_check_accepts_a_right_project_file(tmp_path: Path):
    """`everfit check` says that it found no mistakes."""
    done = everfit("check", str(write_project(tmp_path)))

    assert done.returncode == 0, done.stderr
    assert "no mistakes found" in done.stdout


def test_check_lists_every_mistake_at_once(tmp_path: Path):
    """Two typos are two lines of one message, each with its place and the nearest right name."""
    path = tmp_path / "wrong.yaml"
    path.write_text(YAML.replace("max_epochs", "max_epoch").replace("cooldown: 1h", "cooldown: soon"))

    done = everfit("check", str(path))

    assert done.returncode == 1
    assert "max_epochs" in done.stderr
    assert "7d" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["check", "up"])
def test_hashes_without_their_key_are_refused_before_anything_starts(command: str, tmp_path: Path):
    """A project that wants hashes says at once which variable must hold their key."""
    path = write_project(tmp_path)
    path.write_text(path.read_text().replace("serving: {", "serving: {private: {carrier: hash}, "))

    done = everfit(command, str(path))

    assert done.returncode == 1
    assert "EVERFIT_HASH_KEY must hold a key of at least 16 characters, but there is none" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["check", "up", "train", "monitor"])
def test_a_missing_project_file_is_a_sentence(command: str, tmp_path: Path):
    """No traceback for a path that is not there."""
    done = everfit(command, str(tmp_path / "none.yaml"))

    assert done.returncode == 1
    assert "none.yaml" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_flow_that_fails_is_told_as_a_sentence(tmp_path: Path):
    """Watching before anything was trained is one sentence that says what to do, without Prefect's traceback."""
    done = everfit("monitor", str(write_project(tmp_path)), home=tmp_path / "home")

    assert done.returncode == 1
    assert "found none; make one with everfit train" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr + done.stdout

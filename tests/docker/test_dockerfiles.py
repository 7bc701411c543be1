"""The images: no root, pinned, healthy, and free of what a linter of Dockerfiles knows to be wrong."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
ROLES = [file.name.removesuffix(".Dockerfile") for file in DOCKERFILES]

pytestmark = pytest.mark.parametrize("file", DOCKERFILES, ids=ROLES)


def instructions(file: Path) -> list[tuple[str, str]]:
    """Each instruction with its arguments, continued lines joined."""
    text = re.sub(r"^#.*\n", "", file.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def all_of(file: Path, keyword: str) -> list[str]:
    """The arguments of every instruction of that kind."""
    return [arguments for found, arguments in instructions(file) if found == keyword]


def test_hadolint_finds_nothing(file: Path):
    """hadolint, the linter of Dockerfiles, has nothing to say."""
    hadolint = Path(sys.executable).parent / "hadolint"

    done = subprocess.run([hadolint, file], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
    assert done.stdout == ""


def test_the_image_does_not_run_as_root(file: Path):
    """The last user is a number above the system's, so that an orchestrator can see that it is not root."""
    users = all_of(file, "USER")

    assert users
    assert int(users[-1]) >= 10_000


def test_the_base_is_pinned(file: Path):
    """Every stage stands on the same full version of Python, one that the project supports."""
    bases = {base.split()[0] for base in all_of(file, "FROM")}

    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.1[1-9]\.\d+-slim-bookworm", bases.pop())


def test_every_package_comes_from_the_lock(file: Path):
    """Nothing is installed by pip but with the lock as a constraint, or without its dependencies."""
    installs = [step for run in all_of(file, "RUN") for step in run.split("&&") if "pip install" in step]

    assert installs
    for step in installs:
        words = shlex.split(step)
        assert "requirements.lock" in words or "--no-deps" in words
        assert "--no-cache-dir" in words


def test_the_image_says_whether_it_is_healthy(file: Path):
    """An orchestrator can tell a running container from a working one."""
    checks = all_of(file, "HEALTHCHECK")

    assert len(checks) == 1
    assert "urlopen" in checks[0]


def test_no_secret_is_built_in(file: Path):
    """Passwords come from the environment of the container."""
    assert not re.search(r"password|secret|token", " ".join(all_of(file, "ENV") + all_of(file, "ARG")), re.IGNORECASE)


def test_the_roles_are_extras_of_the_project(file: Path):
    """What an image installs is what pyproject.toml says that role needs."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    roles = [name for arg in all_of(file, "ARG") for name in re.findall(r'^ROLES="(.*)"', arg)]

    for names in roles:
        done = subprocess.run(
            [sys.executable, "docker/role.py", *names.split()], cwd=ROOT, capture_output=True, text=True, check=True
        )
        wanted = [line for name in names.split() for line in extras[name]]
        assert set(wanted) <= set(done.stdout.splitlines())
    assert roles or file.name == "tracking.Dockerfile"

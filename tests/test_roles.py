"""Each role installs what it imports: what is there only because of another role would be missing in its image."""

import ast
import os
import subprocess
import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from components.serving.command import serve_command
from components.settings.environment import Environment
from flows.stack.servers import QUIET

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


@cache
def distributions() -> dict[str, set[str]]:
    """Top-level module to the installed distributions that hold it."""
    found = metadata.packages_distributions()
    return {module: {canonicalize_name(name) for name in names} for module, names in found.items()}


def installed_by(lines: list[str]) -> set[str]:
    """All distributions that these requirements bring, with what those require in turn."""
    seen: set[tuple[str, str]] = set()
    left = [Requirement(line) for line in lines]
    while left:
        wanted = left.pop()
        for extra in ["", *wanted.extras]:
            key = (canonicalize_name(wanted.name), extra)
            if key in seen:
                continue
            seen.add(key)
            left += [r for r in _requires(wanted.name) if r.marker is None or r.marker.evaluate({"extra": extra})]
    return {name for name, _ in seen}


def _requires(name: str) -> list[Requirement]:
    try:
        return [Requirement(line) for line in metadata.requires(name) or []]
    except metadata.PackageNotFoundError:
        return []


# Hides modules as if they were not installed, so that a package which another can do without is not asked for.
HIDE = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {hidden}:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)
sys.meta_path.insert(0, Hidden())
"""


def run_with_only(lines: list[str], code: str) -> subprocess.CompletedProcess[str]:
    """A fresh Python that sees nothing but what these requirements install."""
    there = installed_by([*lines, "pip", "setuptools", "everfit"])
    hidden = {module for module, names in distributions().items() if not names & there}
    program = HIDE.format(hidden=hidden - sys.stdlib_module_names) + code
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_package_that_is_imported_is_declared():
    """A package that comes along with another today may be gone with its next version."""
    extras = ("server", "worker", "demo", "openvino")
    declared = [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]
    names = {canonicalize_name(Requirement(line).name) for line in declared} | {"everfit"}
    wrong = set()

    for file in [*ROOT.glob("components/**/*.py"), *ROOT.glob("flows/**/*.py"), *ROOT.glob("deploy/projects/*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            tops = {module.partition(".")[0] for module in modules} & set(distributions()) - sys.stdlib_module_names
            wrong |= {f"{file.relative_to(ROOT)}: {top}" for top in tops if not distributions()[top] & names}

    assert not wrong, "\n".join(sorted(wrong))


@pytest.mark.parametrize(
    ("code", "roles"),
    [
        ("import components.serving.service", ["server"]),
        ("import flows.cli", []),
        ("import flows.deployments, flows.runner", ["worker"]),
    ],
    ids=["server", "command line", "worker"],
)
def test_a_role_starts_with_what_it_installs(code: str, roles: list[str]):
    """The image of a role starts with nothing but the packages of that role."""
    lines = [*PROJECT["dependencies"], *(line for role in roles for line in EXTRAS[role])]

    done = run_with_only(lines, code)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "environment", [QUIET, serve_command(Environment(), Path("x.yaml"), 1)[1]], ids=["up", "serve"]
)
def test_no_process_of_ours_reports_to_anyone(environment: dict[str, str], tmp_path: Path):
    """onnxruntime's wheels keep a device id and report home from their import on; in our processes they do not."""
    loud = {"PATH": os.environ["PATH"]}  # nothing else: it keeps quiet by itself where a variable says that this is CI

    for name, env in {"loud": loud, "quiet": loud | environment}.items():
        (tmp_path / name).mkdir()
        code = "import onnxruntime, time; time.sleep(0.2)"
        subprocess.run([sys.executable, "-c", code], env=env | {"HOME": str(tmp_path / name)}, check=True)

    assert list((tmp_path / "loud").rglob("deviceid"))
    assert not list((tmp_path / "quiet").rglob("*"))

"""A version and its service as one bento: `bentoml serve <tag>` and `bentoml containerize <tag>` need nothing else."""

import logging
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from importlib.metadata import requires
from pathlib import Path

import yaml

from components.errors import ServerError
from components.records.models import ModelFiles
from components.registry.opening import remember_champion
from components.serving.bundled_files import CACHE, PROJECT, VERSION
from components.serving.command import ROOT
from components.settings.project import Project

log = logging.getLogger(__name__)

SERVICE = "components.serving.bundled:EverfitService"
# What the role that answers requests needs; see pyproject.toml.
ROLE = "server"
BUILD_SECONDS = 300


def build_bento(project: Project, files: ModelFiles) -> str:
    """The tag of a new bento in BentoML's store, which holds the project file, the version and the code.

    Args:
        project: Whose service it is.
        files: The version it answers with.

    Raises:
        ServerError: If BentoML cannot build it.
    """
    with tempfile.TemporaryDirectory(prefix="everfit-bento-") as scratch:
        folder = Path(scratch)
        _lay_out(folder, project, files)
        command = [sys.executable, "-m", "bentoml", "build", str(folder), "--output", "tag"]
        quiet = {"BENTOML_DO_NOT_TRACK": "True", "EVERFIT_HOME": str(folder / "home")}
        done = subprocess.run(  # noqa: S603 - our own command
            command,
            cwd=folder,
            env=os.environ | quiet,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
    tags = [line.removeprefix("__tag__:") for line in done.stdout.splitlines() if line.startswith("__tag__:")]
    if done.returncode or not tags:
        found = " ".join((done.stderr or done.stdout).split())[-600:]
        raise ServerError(f"wanted a bento of {project.name}, but bentoml build said: {found}; mend what it names")
    log.info("bento built tag=%s model=%s version=%d", tags[0], files.version.name, files.version.version)
    return tags[0]


def requirements() -> list[str]:
    """The packages of the role that answers requests, as this distribution declares them."""
    source = ROOT / "pyproject.toml"
    if source.is_file():  # an editable installation may remember older ones
        declared = tomllib.loads(source.read_text())["project"]
        return [*declared["dependencies"], *declared["optional-dependencies"][ROLE]]
    lines = [line.partition(";") for line in requires("everfit") or []]
    wanted = {"", f"extra=='{ROLE}'"}
    return [name.strip() for name, _, marker in lines if marker.replace(" ", "").replace('"', "'") in wanted]


def _lay_out(folder: Path, project: Project, files: ModelFiles) -> None:
    """The folder that is built: code, project file, and the version as a cache holds it."""
    shutil.copytree(ROOT / "components", folder / "components", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(project.file, folder / PROJECT)
    version = files.version
    shutil.copytree(files.graph.parent, folder / CACHE / version.name / str(version.version))
    remember_champion(version, folder / CACHE)
    (folder / VERSION).write_text(str(version.version))
    described = {
        "service": SERVICE,
        "name": project.name.lower(),
        "description": f"{project.name}, version {version.version} of the model.",
        "labels": {"model": version.name, "version": str(version.version), "sha256": version.sha256[:16]},
        "include": ["components/", f"{CACHE}/", PROJECT, VERSION],
        "python": {"packages": requirements(), "lock_packages": False},
    }
    (folder / "bentofile.yaml").write_text(yaml.safe_dump(described))

"""`everfit bento`: a version and its service as one bento."""

from pathlib import Path

from components.errors import ModelNotFound
from components.registry import fetching, tracking, versions
from components.serving.bento import build_bento
from components.settings.environment import Environment
from components.settings.reading import load_project


def make(project_file: Path, number: int | None) -> str:
    """The tag of a new bento of the champion, or of another version.

    Raises:
        ModelNotFound: If there is no such version.
    """
    project, environment = load_project(project_file), Environment()
    tracking.connect(environment)
    version = versions.champion(project.name) if number is None else versions.version(project.name, number)
    if version is None:
        raise ModelNotFound(f"wanted the champion of {project.name}, found none; make one with everfit train")
    return build_bento(project, fetching.fetch(version, environment.cache()))

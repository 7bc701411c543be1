"""A real service on a version of its cache, without a registry: for tests that need settings or keys of their own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.serving.command import serve_command
from components.settings.environment import Environment
from tests.components.serving import tiny
from tests.components.serving.conftest import NAME, Program, Registry, Service, free_port, get, wait_for


@contextmanager
def alone(
    folder: Path, *, limits: str = "{}", serving: str = "", workers: int = 1, **variables: str
) -> Iterator[Service]:
    """A service that answers with bias 0; it is gone at the end.

    Args:
        folder: An empty folder.
        limits: `serving.limits` of its project, as YAML in one line.
        serving: More of `serving`, as YAML in one line that ends in a comma.
        workers: Processes that answer.
        variables: Environment variables on top of its own.
    """
    project_file = tiny.write_project(folder, NAME)
    more = f"serving: {{limits: {limits}, {serving} "
    project_file.write_text(project_file.read_text().replace("serving: {", more, 1))
    environment = Environment(home=folder / "home", service_port=free_port(), pinned_version=3)
    version = environment.cache() / NAME / "3"
    version.mkdir(parents=True)
    tiny.packed(version, tiny.graph(0.0, version / "model.onnx"), name=NAME)
    command, settings = serve_command(environment, project_file, workers)
    program = Program(command, os.environ | settings | variables, folder / "service.log")
    made = Service(program, environment, project_file, Registry(program, 0, folder))
    program.start()
    try:
        wait_for(lambda: get(made.port, "/readyz")[0] == 200, why=program.log.read_text)
        yield made
    finally:
        program.kill()

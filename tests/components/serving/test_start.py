"""A service that was here before answers soon after its start: nothing that only training needs is imported."""

import os
import re
from pathlib import Path

import pytest

from components.registry.opening import remember_champion
from components.serving.command import serve_command
from components.settings.environment import Environment
from tests.components.serving import tiny
from tests.components.serving.conftest import NAME, Program, free_port, get, post, wait_for

UNWANTED = {"torch", "lightning", "pytorch_lightning", "prefect", "evidently", "polars", "deltalake"}


@pytest.mark.stack
@pytest.mark.slow
def test_the_first_answer_needs_no_package_of_training(tmp_path: Path):
    """With the champion in its cache and no registry to be reached, a start imports nothing of other roles."""
    project_file = tiny.write_project(tmp_path, NAME)
    environment = Environment(
        home=tmp_path / "home", service_port=free_port(), tracking_uri=f"http://127.0.0.1:{free_port()}"
    )
    folder = environment.cache() / NAME / "3"
    folder.mkdir(parents=True)
    files = tiny.packed(folder, tiny.graph(0.0, folder / "model.onnx"), name=NAME)
    remember_champion(files.version, environment.cache())
    command, variables = serve_command(environment, project_file, workers=1)
    traced = {"PYTHONPROFILEIMPORTTIME": "1"}
    program = Program(command, os.environ | variables | traced, tmp_path / "service.log")

    program.start()
    try:
        wait_for(lambda: get(environment.service_port, "/readyz")[0] == 200, why=program.log.read_text)
        status, answer = post(environment.service_port, "/predict", {"rows": [tiny.row()]})
        told = program.log.read_text()
    finally:
        program.kill()

    assert (status, answer["version"]) == (200, 3)
    imported = set(re.findall(r"^import time: .*\| +([^\s.]+)$", told, re.MULTILINE))
    assert {"bentoml", "onnxruntime"} <= imported
    assert not imported & UNWANTED

"""A person's word before a promotion: the run pauses in Prefect, and an answer or the expiry decides."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from prefect.client.schemas.objects import StateType

from components.registry import versions
from components.settings.reading import load_project
from flows.stack.background import as_variables
from tests.flows.harness import Harness, eventually
from tests.flows.small import BEGIN, NAME, write_project

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300), pytest.mark.slow]


def test_a_version_is_promoted_when_a_person_approves(live: Harness, tmp_path: Path):
    """The run waits with the scorecard; after `everfit approve` the version has the alias, and the verdict says who."""
    file = _project(tmp_path, "approved-flights", expires="10m")
    run = live.start("train", project_file=str(file), until=BEGIN, reason="asked")
    eventually(lambda: live.flow_run(run).state.type == StateType.PAUSED, 120, what="the run to wait for a person")
    before = versions.champion("approved-flights")

    answered = _everfit(live, "approve", str(file), "--reason", "looked at the scorecard")
    ended = live.wait(run)
    shown = _everfit(live, "verdict", "approved-flights@champion")

    assert before is None
    assert answered.returncode == 0, answered.stderr
    assert ended.state.is_completed(), ended.state.message
    assert versions.champion("approved-flights").version == 1
    assert "looked at the scorecard" in shown.stdout.replace("\n", " ")
    assert "promote" in shown.stdout


def test_without_an_answer_the_champion_stays(live: Harness, tmp_path: Path):
    """When the time is over nothing is promoted, the run ends well, and the verdict says that nobody answered."""
    file = _project(tmp_path, "forgotten-flights", expires="2s")

    run = live.run("train", project_file=str(file), until=BEGIN, reason="asked")

    (version,) = versions.versions("forgotten-flights")
    verdict = versions.read_verdict(version)
    assert run.state.is_completed()
    assert versions.champion("forgotten-flights") is None
    assert verdict.outcome == "inconclusive"
    assert "nobody answered" in verdict.reason


def test_a_version_that_was_overtaken_while_it_waited_is_not_promoted(live: Harness, tmp_path: Path):
    """Who has the alias by then was never compared with it, so nothing is settled, whatever the person says."""
    file = _project(tmp_path, "overtaken-flights", expires="10m")
    run = live.start("train", project_file=str(file), until=BEGIN, reason="asked")
    eventually(lambda: live.flow_run(run).state.type == StateType.PAUSED, 120, what="the run to wait for a person")
    (version,) = versions.versions("overtaken-flights")
    MlflowClient().set_registered_model_alias("overtaken-flights", "champion", str(version.version))

    _everfit(live, "approve", str(file))
    live.wait(run)

    verdict = versions.read_verdict(version)
    assert verdict.outcome == "inconclusive"
    assert "the champion must still be none, and is version 1" in verdict.reason


def test_an_answer_that_nobody_waits_for_is_a_sentence(live: Harness):
    """`everfit approve` says that no version waits."""
    done = _everfit(live, "approve", str(live.project.file))

    assert done.returncode == 1
    assert f"wanted a version of {NAME} that waits for approval, found none" in done.stderr


def _project(folder: Path, name: str, *, expires: str) -> Path:
    """The small project under another name, which asks a person."""
    file = write_project(folder)
    text = file.read_text().replace(f"name: {NAME}", f"name: {name}")
    text = text.replace("evaluation: {", f"evaluation: {{approval: {{required: true, expires: {expires}}}, ")
    path = folder / f"{name}.yaml"
    path.write_text(text)
    assert load_project(path).evaluation.approval.required
    return path


def _everfit(live: Harness, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows", *arguments]
    env = os.environ | as_variables(live.environment)
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)

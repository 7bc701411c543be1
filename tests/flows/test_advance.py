"""A second version takes over step by step on a real stack, or is sent away with the reason."""

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient

from components.records.models import ModelVersion
from components.registry import challengers, fetching, rollout_log, versions
from components.registry.history import live_at
from components.serving import rollout
from components.settings.project import Project
from components.settings.reading import load_project
from flows.demo.application import Application, Batch
from flows.rollback import roll_back, sentences
from flows.stack.background import as_variables
from flows.tasks import advancing, watching
from tests.components.registry.test_rollbacks import bare
from tests.flows.harness import Harness, eventually
from tests.flows.small import BEGIN, NAME, YAML

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(600)]

# Far from the windows that other tests of the session measure.
FAR = datetime(2011, 3, 1, tzinfo=UTC)
ROLLOUT = """  rollout:
    {mode: canary, steps: [0.3, 0.6], step: 1s, min_rows: 100, max_disagreement: 0.9, max_latency_ratio: 30}
"""


@pytest.fixture(scope="module")
def gradual(live: Harness) -> Project:
    """The same project, as if its owner wanted canaries: 30 %, 60 %, everybody; a second and 100 rows a step."""
    path = live.project.file.with_name("gradual.yaml")
    serving = next(line for line in YAML.splitlines() if line.startswith("serving:"))
    inner = serving.partition("{")[2].rstrip("}")
    lines = "".join(f"  {pair.strip()}\n" for pair in inner.split(","))
    path.write_text(YAML.replace(serving, f"serving:\n{lines}{ROLLOUT}"))
    return load_project(path)


@pytest.fixture(scope="module")
def pair(live: Harness, gradual: Project) -> tuple[ModelVersion, ModelVersion]:
    """The champion so far, and a version of other rows that was trained beside it.

    Whatever its verdict, it is not champion: where canaries are wanted, a better one is challenger first.
    """
    old = versions.champion(NAME)
    assert old is not None
    live.run("train", project_file=str(gradual.file), until=BEGIN - timedelta(days=2), reason="for a canary")
    new, verdict = versions.versions(NAME)[-1], versions.read_verdict(versions.versions(NAME)[-1])
    running = challengers.challenger(NAME)
    print(f"version {new.version}: {verdict}")
    assert versions.champion(NAME) == old
    assert verdict is not None
    assert (running is not None and running.version == new) == verdict.promote
    challengers.clear(new, "the test begins it anew", datetime.now(UTC))
    return old, new


@pytest.fixture
def single_rows(live: Harness, batches: list[Batch]) -> list[Batch]:
    """600 flights, a request each, far in the past."""
    column = live.project.data.timestamp
    rows = [row for batch in batches for row in batch.rows][:600]
    return [Batch([row | {column: FAR}], [FAR], [None]) for row in rows]


def begun(live: Harness, project: Project, pair: tuple[ModelVersion, ModelVersion], version: ModelVersion) -> None:
    """The version begins its rollout, as if a judge had just let it through."""
    verdict = versions.read_verdict(pair[0])
    assert verdict is not None
    champion = fetching.fetch(pair[0], live.environment.cache())
    advancing.begin.fn(project, version, replace(verdict, outcome="promote", reason="for this test"), champion)


def asked(live: Harness, share: float) -> bool:
    """Whether the endpoint asks a challenger for that share."""
    facts = rollout.live_model(live.environment.service).get("challenger")
    return isinstance(facts, dict) and facts["share"] == share and bool(facts["is_asked"])


def share_of(live: Harness, version: ModelVersion, rows: list[Batch]) -> float:
    """The share of the requests that this version answered; none may fail."""
    application, answers = Application(live.environment.service, timedelta(0)), []
    keep = application._keep

    def counted(batch: Batch, answer: dict[str, object]) -> None:
        answers.append(int(str(answer["version"])))
        keep(batch, answer)

    application._keep = counted  # type: ignore[method-assign]
    assert len(list(application.send_all(rows))) == len(rows)
    assert application.traffic.failed_requests == 0, application.traffic.failures
    return answers.count(version.version) / len(rows)


def test_a_canary_answers_its_share_step_by_step_until_it_is_champion(
    live: Harness, gradual: Project, pair: tuple[ModelVersion, ModelVersion], single_rows: list[Batch]
):
    """30 %, then 60 %, then everybody: each step by a run of the deployment, each known afterwards; then back again."""
    old, new = pair
    begun(live, gradual, pair, new)
    eventually(lambda: asked(live, 0.3), 30, what="the canary to be asked")
    table = _everfit(live, "rollout", str(gradual.file))
    held = live.run("advance", project_file=str(gradual.file))
    between = challengers.challenger(NAME)

    # 600 flights put the share within 0.06 of its step but once in 600 runs; the flights are always the same ones.
    first = share_of(live, new, single_rows)
    live.run("advance", project_file=str(gradual.file))
    second_step = challengers.challenger(NAME)
    eventually(lambda: asked(live, 0.6), 30, what="the second step")
    second = share_of(live, new, single_rows)
    live.run("advance", project_file=str(gradual.file))

    print(table.stdout)
    assert "canary of 0.3 of the requests" in table.stdout, table.stdout + table.stderr
    assert held.state is not None
    assert between is not None
    assert (between.step, between.share, between.champion) == (0, 0.3, old.version)
    assert first == pytest.approx(0.3, abs=0.06)
    assert second_step is not None
    assert (second_step.step, second_step.share) == (1, 0.6)
    assert second == pytest.approx(0.6, abs=0.06)
    assert versions.champion(NAME) == new
    assert challengers.challenger(NAME) is None
    assert rollout.is_live(rollout.live_model(live.environment.service), new)
    assert share_of(live, new, single_rows[:20]) == 1.0
    steps = rollout_log.read_steps(new)
    assert [step["outcome"] for step in steps] == ["next", "promote"]
    counted = next(rule["detail"] for rule in steps[0]["rules"] if rule["name"] == "errors")
    assert f"and 0 of {round(first * len(single_rows))} did" in counted
    episode = challengers.episodes(NAME)[-1]
    assert (episode.version, [step.share for step in episode.steps], episode.ending) == (
        new.version,
        [0.3, 0.6],
        "promoted",
    )
    told = _everfit(live, "history", NAME).stdout
    assert "canary of 30%" in told
    during = episode.steps[1].since + timedelta(microseconds=1)
    assert live_at(NAME, during).version == old.version
    moment = f"{episode.steps[1].since + timedelta(seconds=1):%Y-%m-%dT%H:%M:%S}"
    assert (
        f"beside it version {new.version} was canary of 60%" in _everfit(live, "history", NAME, "--at", moment).stdout
    )
    said = _everfit(live, "verdict", f"{NAME}/{new.version}").stdout
    assert "its rollout" in said

    roll_back(live.project, to=old.version, reason="the test is over")
    assert versions.champion(NAME) == old


def test_a_version_that_the_endpoint_refuses_is_sent_away_with_its_reason(
    live: Harness, gradual: Project, pair: tuple[ModelVersion, ModelVersion]
):
    """Its files are gone: the endpoint says so in the registry, and `advance` ends its rollout."""
    bad = bare(NAME)
    begun(live, gradual, pair, bad)
    eventually(lambda: "everfit.refused" in _tags(bad), 30, what="the endpoint to refuse it")

    def ended() -> bool:
        live.run("advance", project_file=str(gradual.file))
        return challengers.challenger(NAME) is None

    eventually(ended, 60, what="the rollout to end")

    episode = challengers.episodes(NAME)[-1]
    assert (episode.version, episode.ending) == (bad.version, "aborted")
    assert "the endpoint must take it, but did not" in episode.reason
    assert _tags(bad)["outcome"] == "reject"
    assert versions.champion(NAME) == pair[0]
    assert rollout_log.read_steps(bad)[-1]["outcome"] == "abort"


def test_a_person_ends_a_rollout_and_a_rollback_does_too(
    live: Harness, gradual: Project, pair: tuple[ModelVersion, ModelVersion]
):
    """Who typed it and why stand with the version; the champion goes on in both cases."""
    old, new = pair
    begun(live, gradual, pair, new)
    typed = _everfit(live, "rollout", str(gradual.file), "--abort", "customers complain")
    first = challengers.episodes(NAME)[-1]
    nothing = _everfit(live, "rollout", str(gradual.file))
    begun(live, gradual, pair, new)

    done = roll_back(live.project, to=old.version, reason="all back")

    assert typed.returncode == 0, typed.stderr
    assert (first.ending, first.reason) == ("aborted", "customers complain")
    assert "@" in first.who
    assert nothing.returncode == 1
    assert f"wanted the challenger of {NAME}, found none" in nothing.stderr
    assert done.ended_challenger == new
    assert f"version {new.version}, which was challenger, is none any more" in sentences(done)
    assert challengers.episodes(NAME)[-1].ending == "rolled back"
    assert versions.champion(NAME) == old


def test_a_challenger_of_another_champion_is_sent_away(
    live: Harness, gradual: Project, pair: tuple[ModelVersion, ModelVersion]
):
    """It was judged against a version that is champion no more: nothing bad is said of it."""
    _, new = pair
    begun(live, gradual, pair, new)
    current = challengers.challenger(NAME)
    assert current is not None
    challengers.put(replace(current, champion=999))

    live.run("advance", project_file=str(gradual.file))

    assert challengers.challenger(NAME) is None
    assert "must still be version 999" in challengers.episodes(NAME)[-1].reason
    assert _tags(new)["outcome"] == "inconclusive"


def test_thresholds_go_back_with_the_version_until_the_file_is_edited(
    live: Harness, pair: tuple[ModelVersion, ModelVersion]
):
    """The monitor uses the file's thresholds; after a rollback those that held when the version was live."""
    old, new = pair
    files = {one: SimpleNamespace(version=one) for one in pair}
    monitoring = live.project.monitoring
    as_of_old = monitoring.model_copy(update={"drift_threshold": 0.4})
    edited = live.project.model_copy(update={"monitoring": monitoring.model_copy(update={"drift_threshold": 0.9})})
    watching.with_thresholds.fn(live.project.model_copy(update={"monitoring": as_of_old}), files[old])
    verdict = versions.read_verdict(old)
    assert verdict is not None
    versions.log_verdict(new, replace(verdict, outcome="promote"))
    roll_back(edited, to=new.version, reason="forward, for this test")
    roll_back(edited, to=old.version, reason="and back")

    found = watching.with_thresholds.fn(edited, files[old])
    later = watching.with_thresholds.fn(live.project, files[old])

    assert found.monitoring == as_of_old
    assert later.monitoring == monitoring
    assert versions.champion(NAME) == old


def _tags(version: ModelVersion) -> dict[str, str]:
    tags: dict[str, str] = MlflowClient().get_model_version(version.name, str(version.version)).tags
    return tags


def _everfit(live: Harness, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows", *arguments]
    env = os.environ | as_variables(live.environment) | {"COLUMNS": "200"}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)

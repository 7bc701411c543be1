"""What is seen of a challenger in ledger and registry, and what a person or the flow does with it; no stack needed."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from components.errors import ModelRefused
from components.evaluation.advancing import advance
from components.records.models import Challenger, ModelVersion
from components.records.rollouts import Step
from components.records.scores import Rule, Verdict
from components.registry import challengers, tracking, versions
from components.settings.environment import Environment
from components.settings.project import Project
from components.settings.serving import RolloutSettings
from flows import rollouts
from tests.components.data.ledgers import SCHEMA, answered_by_both
from tests.components.registry.conftest import hand_over
from tests.components.registry.test_rollbacks import bare
from tests.flows.harness import another_registry

VERDICT = Verdict("promote", "good", "roc_auc", 0.7, 0.69, 0.001, 0.02, rows=900, table_sha256="a" * 64)
NOW = datetime.now(UTC)
SETTINGS = RolloutSettings(mode="shadow", step=timedelta(seconds=1), min_rows=100)


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    """A registry in a file of the test's own; afterwards MLflow points where it did before."""
    made = Environment(home=tmp_path / "home", tracking_uri=None, service_url="http://127.0.0.1:9")
    (tmp_path / "home" / "mlflow").mkdir(parents=True)
    with another_registry():
        tracking.connect(made)
        yield made


@pytest.fixture
def rivals(environment: Environment) -> tuple[ModelVersion, ModelVersion]:
    """A champion, and a version that the judge let through."""
    first, second = bare("flight-delays"), bare("flight-delays")
    versions.promote(first, VERDICT, at=NOW - timedelta(days=1))
    versions.log_verdict(second, VERDICT)
    return first, second


def answered(environment: Environment, rows: int, *, good: bool) -> None:
    """Requests of one row that champion and shadow answered, with labels; the shadow is right, or knows nothing."""
    answered_by_both(environment.ledger("flight-delays"), rows, (1, "champion", True), (2, "shadow", good))


def looked_at(environment: Environment, tmp_path: Path) -> Step:
    """What follows now for the challenger."""
    project: Project = hand_over(tmp_path, "flight-delays").project
    running = challengers.challenger("flight-delays")
    assert running is not None
    seen = rollouts.seen(project, running, SimpleNamespace(schema=SCHEMA), environment)
    print(seen)
    return advance(running, seen, SETTINGS, datetime.now(UTC))


def begun(version: ModelVersion) -> Challenger:
    """It is a shadow since an hour ago."""
    made = Challenger(version, "shadow", 0.0, 0, datetime.now(UTC) - timedelta(hours=1), champion=1)
    challengers.put(made)
    return made


def test_a_shadow_whose_labels_say_it_is_worse_is_sent_away(environment, rivals, tmp_path: Path):
    """Rows and labels of both sides come from the ledger; the verdict, the episode and the alias tell the end."""
    begun(rivals[1])
    answered(environment, 300, good=False)

    step = looked_at(environment, tmp_path)
    rollouts.send_away(step)
    rollouts.send_away(step)

    assert step.outcome == "abort"
    assert "on 300 labelled rows" in next(rule.detail for rule in step.missing if rule.name == "quality")
    assert challengers.challenger("flight-delays") is None
    stored = versions.read_verdict(rivals[1])
    assert stored is not None
    assert stored.outcome == "reject"
    assert [rule.name for rule in stored.rules] == ["rollout"]
    assert versions.champion("flight-delays") == rivals[0]


def test_a_good_shadow_still_waits_for_what_nobody_knows(environment, rivals, tmp_path: Path):
    """Equal answers, labels and latency are not enough while the endpoint does not say how often it failed."""
    begun(rivals[1])
    answered(environment, 300, good=True)

    step = looked_at(environment, tmp_path)

    assert step.outcome == "hold"
    assert [rule.name for rule in step.missing] == ["errors"]
    assert "the endpoint does not say" in step.reason


def test_a_challenger_becomes_champion_once_with_its_rollout_in_the_verdict(environment, rivals):
    """A task that is repeated changes nothing; the verdict names the rollout as a rule that held."""
    running = begun(rivals[1])
    step = Step("promote", "every limit held", running, datetime.now(UTC), rules=())

    rollouts.crown(step)
    moves = versions.moves("flight-delays")
    rollouts.crown(step)

    assert versions.champion("flight-delays") == rivals[1]
    assert versions.moves("flight-delays") == moves
    assert challengers.challenger("flight-delays") is None
    stored = versions.read_verdict(rivals[1])
    assert stored is not None
    assert stored.rules == (Rule("rollout", True, "every limit held"),)
    assert challengers.episodes("flight-delays")[-1].ending == "promoted"


def test_a_step_that_was_overtaken_promotes_nothing(environment, rivals):
    """Between looking and promoting a person sent it away: that stands."""
    running = begun(rivals[1])
    step = Step("promote", "every limit held", running, datetime.now(UTC), rules=())
    challengers.clear(rivals[1], "a person said so", datetime.now(UTC), who="ann")

    with pytest.raises(ModelRefused, match="version 2 of flight-delays after step 0, found that its rollout changed"):
        rollouts.crown(step)
    challengers.put(replace(running, since=datetime.now(UTC)))
    with pytest.raises(ModelRefused, match="its rollout changed meanwhile"):
        rollouts.crown(step)

    assert versions.champion("flight-delays") == rivals[0]

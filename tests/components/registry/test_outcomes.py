"""What the registry knows of a decision that is to be carried out, perhaps not for the first time."""

from datetime import UTC, datetime, timedelta

import pytest
from mlflow import MlflowClient

from components.records.models import ModelVersion
from components.registry import versions
from components.registry.outcomes import made_for, replaced_since, training_cost
from components.registry.rollbacks import roll_back
from components.settings.monitoring import MonitoringSettings
from tests.components.registry.test_rollbacks import AT, DAY, WHY, bare, promoted

pytestmark = pytest.mark.usefixtures("server")


def asked(name: str, decision_id: str) -> ModelVersion:
    """A version that was registered for a decision."""
    made = bare(name)
    MlflowClient().set_model_version_tag(name, str(made.version), "decision_id", decision_id)
    return made


def test_a_version_without_a_verdict_is_no_answer(rejection):
    """A run that was killed before it judged has to be done again; the one after it counts."""
    asked("unjudged", "one")
    assert made_for("unjudged", "one") is None
    second = asked("unjudged", "one")
    versions.reject(second, rejection)

    found = made_for("unjudged", "one")

    assert found is not None
    assert found[0] == second
    assert found[1].outcome == rejection.outcome
    assert made_for("unjudged", "another") is None


def test_a_promotion_counts_once_the_alias_has_moved(verdict):
    """The verdict is stored first: a run that was killed in between has promoted nothing."""
    champion = promoted("halfway", verdict, 1)[0]
    made = asked("halfway", "one")
    versions.log_verdict(made, verdict)
    assert made_for("halfway", "one") is None
    assert versions.champion("halfway") == champion

    versions.promote(made, verdict, at=AT + DAY)

    found = made_for("halfway", "one")
    assert found is not None
    assert found[0] == made


def test_a_champion_is_replaced_by_promotions_and_by_rollbacks(verdict):
    """The newest move after a moment is told; none if the alias stood still."""
    made = promoted("moving", verdict, 3)

    moved = replaced_since("moving", AT + timedelta(hours=1))
    assert moved is not None
    assert (moved.version, moved.before, moved.is_rollback) == (3, 2, False)
    assert replaced_since("moving", AT + 2 * DAY) is None
    roll_back(made[0], at=AT + 3 * DAY, settings=MonitoringSettings(), **WHY)

    moved = replaced_since("moving", AT + 2 * DAY)

    assert moved is not None
    assert (moved.version, moved.is_rollback) == (1, True)
    assert replaced_since("nobody", datetime.now(UTC)) is None


def test_the_cost_of_a_training_is_what_its_run_says():
    """A price, or none where the project names none."""
    priced, free = bare("priced"), bare("priced")
    MlflowClient().log_metric(priced.run_id, "training_cost", 0.25)

    assert training_cost(priced) == 0.25
    assert training_cost(free) is None

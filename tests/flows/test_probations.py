"""A champion on probation, in ledger and registry: it stays, or the version before comes back; no stack needed."""

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow import MlflowClient
from rich.console import Console

from components.errors import ModelRefused
from components.evaluation.probation import probation
from components.records.models import Challenger, ModelVersion
from components.records.rollouts import Step
from components.records.scores import Rule, Verdict
from components.registry import challengers, rollbacks, tracking, versions
from components.settings.environment import Environment
from components.settings.monitoring import MonitoringSettings, ProbationSettings
from components.settings.project import Project
from flows import probations, rollout_table
from flows.deployments import deployments
from flows.history_table import print_history, sentence_at
from flows.tasks import advancing
from tests.components.data.ledgers import SCHEMA, answered_by_both
from tests.components.registry.conftest import hand_over
from tests.components.registry.test_rollbacks import bare
from tests.flows.harness import another_registry

VERDICT = Verdict("promote", "good", "roc_auc", 0.7, 0.69, 0.001, 0.02, rows=900, table_sha256="a" * 64)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """A registry in a file of the module's own; afterwards MLflow points where it did before."""
    home = tmp_path_factory.mktemp("probations")
    (home / "mlflow").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch, another_registry():
        patch.setenv("EVERFIT_HOME", str(home))
        patch.setenv("EVERFIT_SERVICE_URL", "http://127.0.0.1:9")
        patch.delenv("EVERFIT_TRACKING_URI", raising=False)
        made = Environment()
        tracking.connect(made)
        yield made


@pytest.fixture
def name(environment: Environment, tmp_path: Path) -> str:
    """A model of the test's own."""
    return re.sub("[^a-z0-9]+", "-", tmp_path.name.lower())[-40:].strip("-")


@pytest.fixture
def pair(name: str) -> tuple[ModelVersion, ModelVersion]:
    """The champion before, and the one that took over from it a moment ago; without files."""
    return _promoted(bare(name), bare(name))


@pytest.fixture
def whole(name: str, tmp_path: Path) -> tuple[ModelVersion, ModelVersion]:
    """The same with their files."""
    old, new = (hand_over(tmp_path, name, weight=weight).register() for weight in (1.0, 2.0))
    return _promoted(old, new)


def _promoted(old: ModelVersion, new: ModelVersion) -> tuple[ModelVersion, ModelVersion]:
    versions.promote(old, VERDICT, at=datetime.now(UTC) - 9 * DAY)
    versions.promote(new, VERDICT, at=datetime.now(UTC))
    return old, new


@pytest.fixture
def project(name: str, tmp_path: Path) -> Project:
    """A project that wants a probation of a week from 200 labels on."""
    settings = MonitoringSettings(probation=ProbationSettings(length="7d", min_labelled_rows=200))
    return hand_over(tmp_path, name).project.model_copy(update={"monitoring": settings})


def answered(environment: Environment, name: str, rows: int, *, knows: bool) -> None:
    """Requests of one row that champion 2 and its shadow 1 answered, with labels; what 1 knows, 2 may know as well."""
    answered_by_both(environment.ledger(name), rows, (2, "champion", knows), (1, "shadow", True))


def begun(project: Project, pair: tuple[ModelVersion, ModelVersion]) -> Challenger:
    """The shadow of the champion's probation."""
    advancing.begin_probation.fn(project, pair[1])
    found = challengers.challenger(project.name)
    assert found is not None
    return found


def looked_at(environment: Environment, project: Project, shadow: Challenger, *, days: float = 0.1) -> Step:
    """What follows now, or days later."""
    seen = probations.seen(project, shadow, SimpleNamespace(schema=SCHEMA), environment)
    return probation(shadow, seen, project.monitoring.probation, shadow.since + days * DAY)


def test_after_a_promotion_the_version_before_is_a_shadow_of_the_champion(project: Project, pair):
    """It is asked beside the new one, as a shadow of a rollout is; beginning again changes nothing."""
    shadow = begun(project, pair)

    again = probations.begin_due(project, pair[1], datetime.now(UTC))

    assert again is None
    assert (shadow.version, shadow.variant, shadow.champion) == (pair[0], "shadow", pair[1].version)
    assert shadow.purpose == "probation"
    assert shadow.challenges(pair[1])
    assert not shadow.challenges(pair[0])
    assert challengers.episodes(project.name)[-1].probation_of == pair[1].version


@pytest.mark.parametrize(
    "why", ["not asked for", "too long ago", "rolled back", "first", "deleted", "never let through"]
)
def test_no_probation_is_due(project: Project, pair, why: str):
    """None is asked for, the promotion is older than it would last, a person went back, or nobody could come back."""
    champion, now = pair[1], datetime.now(UTC)
    if why == "not asked for":
        project = project.model_copy(update={"monitoring": MonitoringSettings()})
    elif why == "too long ago":
        now += 8 * DAY
    elif why == "rolled back":
        rollbacks.roll_back(pair[0], who="ann", reason="test", at=datetime.now(UTC))
        champion = pair[0]
    elif why == "first":
        MlflowClient().set_model_version_tag(project.name, "2", "took_over_from", "")
    elif why == "deleted":
        MlflowClient().delete_model_version(project.name, "1")
    else:
        versions.log_verdict(pair[0], replace(VERDICT, outcome="reject"))

    assert probations.begin_due(project, champion, now) is None
    assert challengers.challenger(project.name) is None


def test_a_probation_that_a_killed_run_did_not_begin_is_begun_by_the_next_advance(project: Project, pair):
    """The promotion is what makes it due, not a note."""
    files = SimpleNamespace(version=pair[1])

    found = advancing.challenger.fn(project, files)

    assert found == challengers.challenger(project.name)
    assert found is not None
    assert found.purpose == "probation"


def test_a_champion_that_is_worse_goes_back_and_its_verdict_says_why(environment, project: Project, whole):
    """Alias, reason and verdict tell of Everfit's own rollback; doing it again changes nothing."""
    shadow = begun(project, whole)
    answered(environment, project.name, 300, knows=False)
    step = looked_at(environment, project, shadow)

    done = probations.take_back(project, step)
    moved = versions.moves(project.name)
    again = probations.take_back(project, step)

    assert step.outcome == "roll_back"
    assert "version 2 may not be worse than version 1, beyond doubt; on 300 labelled rows" in step.reason
    assert versions.champion(project.name) == whole[0] == done.version
    assert (moved[-1].who, moved[-1].is_rollback, moved[-1].reason) == ("everfit", True, step.reason)
    assert (again.move, versions.moves(project.name)) == (None, moved)
    assert challengers.challenger(project.name) is None
    assert challengers.episodes(project.name)[-1].ending == "rolled back"
    stored = versions.read_verdict(whole[1])
    assert stored is not None
    assert stored.outcome == "reject"
    assert [(rule.name, rule.passed) for rule in stored.rules] == [("probation", False)]
    # Why it was promoted is still known.
    assert [(move.version, move.reason) for move in moved[:2]] == [(1, "good"), (2, "good")]
    told = _printed(lambda console: print_history(project.name, console))
    assert "everfit rolled back from 2: version 2 may not be worse" in told
    assert "shadow in the probation of version 2" in told
    with pytest.raises(ModelRefused, match="found reject"):
        rollbacks.roll_back(whole[1], who="ann", reason="forward", at=datetime.now(UTC))


def test_a_rollback_that_was_killed_behind_its_verdict_is_completed(environment, project: Project, whole):
    """The verdict says that the champion is worse, the alias does not know yet: the next look does what was decided."""
    shadow = begun(project, whole)
    answered(environment, project.name, 300, knows=False)
    step = looked_at(environment, project, shadow)
    probations._tell(step, Rule("probation", False, step.reason))
    files = SimpleNamespace(version=whole[1], schema=SCHEMA)
    # Meanwhile nothing is beyond doubt any more.
    strict = project.monitoring.model_copy(update={"probation": ProbationSettings(length="7d", min_labelled_rows=900)})

    found = advancing.look_back.fn(project.model_copy(update={"monitoring": strict}), shadow, files)
    advancing.take_back.fn(project, found)

    assert (found.outcome, found.reason) == ("roll_back", step.reason)
    assert versions.champion(project.name) == whole[0]


def test_a_champion_that_is_no_worse_stays_and_is_told_so_once(environment, project: Project, pair):
    """When its time is over the probation ends, with numbers, and no second one begins."""
    shadow = begun(project, pair)
    answered(environment, project.name, 300, knows=True)
    early, late = (looked_at(environment, project, shadow, days=days) for days in (1, 7))

    probations.end(late)
    probations.end(late)

    assert (early.outcome, late.outcome) == ("hold", "keep")
    assert versions.champion(project.name) == pair[1]
    ended = challengers.episodes(project.name)[-1]
    assert (ended.ending, ended.reason, ended.who) == ("kept", late.reason[:500], "")
    stored = versions.read_verdict(pair[1])
    assert stored is not None
    assert stored.promote
    assert [(rule.name, rule.passed) for rule in stored.rules] == [("probation", True)]
    assert advancing.challenger.fn(project, SimpleNamespace(version=pair[1])) is None
    description = MlflowClient().get_model_version(project.name, "1").description
    assert description.startswith("- **Challenger kept** as shadow in the probation of version 2, on ")


def test_too_few_labels_keep_the_champion_and_say_how_many_came(environment, project: Project, pair):
    """A hundred of two hundred: nothing is settled, however bad they look."""
    shadow = begun(project, pair)
    answered(environment, project.name, 120, knows=False)

    early, late = (looked_at(environment, project, shadow, days=days) for days in (1, 7))

    assert (early.outcome, late.outcome) == ("hold", "keep")
    assert "not enough labels came to tell: 120 of 200" in late.reason


def test_a_rollback_by_a_person_ends_the_probation(project: Project, pair):
    """The version before is champion again, and shadow of nobody, least of itself."""
    shadow = begun(project, pair)
    rollbacks.roll_back(pair[0], who="ann", reason="complaints", at=datetime.now(UTC))
    ended = challengers.episodes(project.name)[-1]
    # As if who rolled back had been killed behind the alias.
    challengers.put(replace(shadow, since=datetime.now(UTC)))

    found = advancing.challenger.fn(project, SimpleNamespace(version=pair[0]))

    assert (ended.ending, ended.who) == ("rolled back", "ann")
    assert not shadow.challenges(pair[0])
    assert found is None
    last = challengers.episodes(project.name)[-1]
    assert (last.ending, last.who) == ("rolled back", "ann")
    assert last.reason == "version 1 is champion in place of version 2"


def test_a_new_promotion_ends_the_probation_and_begins_its_own(project: Project, pair, name: str):
    """The champion before is the shadow of the newest; why the other ended stands in its place."""
    begun(project, pair)
    third = bare(name)
    versions.promote(third, VERDICT, at=datetime.now(UTC))

    advancing.begin_probation.fn(project, third)

    running = challengers.challenger(project.name)
    assert running is not None
    assert (running.version, running.champion) == (pair[1], third.version)
    first = next(one for one in challengers.episodes(project.name) if one.probation_of == 2)
    assert (first.ending, first.reason) == ("replaced", "version 3 is champion now, and its probation began")


def test_a_rollout_ends_the_probation(project: Project, pair, name: str):
    """One version at a time is asked beside the champion, and the new one counts more."""
    begun(project, pair)
    third = bare(name)

    challengers.put(Challenger(third, "canary", 0.05, 0, datetime.now(UTC), champion=2))

    first = next(one for one in challengers.episodes(project.name) if one.probation_of == 2)
    assert (first.ending, first.reason) == ("replaced", "version 3 is the challenger now")
    assert advancing.challenger.fn(project, SimpleNamespace(version=pair[1])).version == third


def test_a_person_sees_the_probation_and_may_end_it(environment, project: Project, whole):
    """`everfit rollout` tells it in words; --promote is the wrong word for going back; --abort leaves the champion."""
    begun(project, whole)
    answered(environment, project.name, 120, knows=True)
    told = _printed(lambda console: rollout_table.tell(project, console))
    moment = datetime.now(UTC) + timedelta(seconds=1)
    beside = sentence_at(project.name, moment)

    with pytest.raises(ModelRefused, match=r"version 1, which was champion before .* use everfit rollback --to 1"):
        rollout_table.crown(project)
    said = rollout_table.send_away(project, "we are sure")

    assert f"{project.name} version 2 is champion, and on probation" in told
    assert "version 1, which was champion before, is shadow in the probation of version 2, since" in told
    assert "rows with labels that both answered so far: 120" in told
    assert beside.endswith("beside it version 1 was shadow in the probation of version 2")
    assert said == f"the probation of version 2 of {project.name} is over: we are sure"
    assert versions.champion(project.name) == whole[1]
    ended = challengers.episodes(project.name)[-1]
    assert (ended.ending, ended.reason) == ("aborted", "we are sure")
    assert "@" in ended.who
    stored = versions.read_verdict(whole[1])
    assert stored is not None
    assert stored.promote
    assert probations.begin_due(project, whole[1], datetime.now(UTC)) is None


def test_a_probation_needs_advance_on_a_schedule(project: Project):
    """Also where versions take over at once; without either nobody would look."""
    without = project.model_copy(update={"monitoring": MonitoringSettings()})

    found = [
        [one.schedules for one in deployments(wanted) if one.flow_name == "advance"] for wanted in (project, without)
    ]

    assert len(found[0][0]) == 1
    assert found[1] == [[]]


def _printed(tell: Any) -> str:
    page = io.StringIO()
    tell(Console(width=400, highlight=False, file=page))
    return page.getvalue()

"""Without a Prefect server whoever decides also acts: once, whatever is killed on the way and however many try."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from components.records.models import ModelFiles
from components.registry import fetching, tracking, versions
from flows import turns
from flows.status import decision_table
from tests.flows.harness import Harness
from tests.flows.plain import Command, Plain
from tests.flows.small import BEGIN, NAME

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(900), pytest.mark.slow]

WINDOW = timedelta(days=2)
UNTIL = ["--until", f"{BEGIN + WINDOW:%Y-%m-%d}"]
NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def champion(live: Harness) -> ModelFiles:
    """The champion that the stack's registry knows."""
    tracking.connect(live.environment)
    found = versions.champion(NAME)
    assert found is not None
    return fetching.fetch(found, live.environment.cache())


@pytest.fixture(scope="module")
def plain(live: Harness, champion: ModelFiles, tmp_path_factory: pytest.TempPathFactory) -> Plain:
    """A home of its own with two days of flights in its ledger; of the stack it knows the registry alone."""
    made = Plain(tmp_path_factory.mktemp("plain"), live.project.file, live.environment.tracking)
    made.receive(BEGIN, WINDOW, champion)
    return made


@pytest.fixture(scope="module")
def cut_off(
    live: Harness, champion: ModelFiles, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Plain, int, Command]]:
    """The same home again, and a monitor in it whose registry does not answer: it needs a minute to give up."""
    made = Plain(tmp_path_factory.mktemp("cut-off"), live.project.file, live.environment.tracking)
    rows = made.receive(BEGIN, WINDOW, champion)
    command = made.start("monitor", *UNTIL, EVERFIT_TRACKING_URI=NOBODY)
    yield made, rows, command
    command.end()


def test_a_decision_is_carried_out_once_whatever_is_killed(cut_off: object, plain: Plain):
    """kill -9 after deciding, and when all is done but the note at its end: one version, one end, in words.

    Then two processes at once are asked to see to it.
    """
    plain.run("monitor", *UNTIL, dies="add:after")
    decided = plain.entries()
    killed = plain.run("reconcile", dies="finish:before")
    between = plain.entries()
    both = [plain.start("reconcile"), plain.start("monitor", *UNTIL)]
    said, statuses = zip(*(command.wait() for command in both), strict=True)

    (entry,) = plain.entries()
    decision_id = entry.decision.id
    assert [one.state for one in decided] == ["decided"]
    assert [one.state for one in between] == ["running"]
    assert f"decision {decision_id} is carried out in this process" in killed
    assert any(f"decision {decision_id}: {turns.GONE}; it is open again" in one for one in said)
    assert statuses == (0, 0), said
    assert entry.state == "done"
    assert entry.outcome in {"promote", "reject", "inconclusive"}
    assert entry.gain is not None
    assert "roc_auc" in entry.detail
    made = [one for one in versions.registered(NAME) if one.tags.get("decision_id") == decision_id]
    assert [int(one.version) for one in made] == [entry.candidate_version]
    assert sum(f"decision {decision_id} ended as {entry.outcome}" in one for one in said) == 1, said


def test_what_came_of_it_is_told(plain: Plain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """`everfit decisions` shows the decision, its state, its outcome and the sentence on it."""
    monkeypatch.setenv("EVERFIT_HOME", str(plain.home))
    monkeypatch.setenv("COLUMNS", "400")

    decision_table(plain.project_file)

    (entry,) = plain.entries()
    told = capsys.readouterr().out
    assert all(word in told for word in ("retrain", "done", str(entry.outcome)))
    assert "roc_auc" in told


def test_a_registry_that_is_away_loses_nothing(cut_off: tuple[Plain, int, Command], monkeypatch: pytest.MonkeyPatch):
    """A sentence that says what to do, no decision and no row lost; the next monitor catches up, and acts.

    That one is killed when it has taken its decision: whoever retrains next finds it, and gives it back.
    """
    home, rows, command = cut_off
    said, status = command.wait()
    before = home.entries()
    home.run("monitor", *UNTIL, dies="claim:after")
    (entry,) = home.entries()
    monkeypatch.setenv("EVERFIT_HOME", str(home.home))
    with turns.turn(NAME) as left:
        (again,) = home.outbox.pending(NAME)

    assert status == 1
    assert f"from MLflow at {NOBODY}, but it did not answer" in said
    assert "start it with everfit up, or set EVERFIT_TRACKING_URI" in said
    assert "everfit: wanted the champion" in said
    assert before == []
    assert entry.decision.facts.rows == rows
    assert entry.decision.facts.labelled_rows == rows
    assert (entry.decision.verdict, entry.state) == ("retrain", "running")
    assert left == [entry.decision.id]
    assert (again.attempts, again.detail) == (1, turns.GONE)

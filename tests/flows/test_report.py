"""`everfit report`: one page of the loop, for any project, with and without servers."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from components.data.ledger import LabelBatch, Ledger
from components.records.models import Challenger, ModelVersion
from components.records.rows import Schema
from components.records.scores import Verdict
from components.records.watching import Decision, Window, WindowFacts
from components.registry import tracking, versions
from components.registry.challengers import Episode
from components.registry.history import LiveEntry
from components.registry.made import Made
from components.registry.moves import Move
from components.settings.environment import Environment
from components.settings.project import Project
from flows.browser import opened
from flows.folders import outbox
from flows.report import newest_of_each_window, story_of, write_report
from flows.report_events import Registry, told_events, told_versions
from tests.browser import open_page
from tests.components.data.ledgers import asked, micros, told
from tests.components.registry.conftest import hand_over
from tests.flows.harness import another_registry
from tests.flows.small import write_project
from tests.flows.test_cli import everfit

START = datetime(2026, 3, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
ROWS = 160
VERDICT = Verdict(
    outcome="promote",
    reason="roc_auc 0.712 is above the minimum 0.65",
    metric="roc_auc",
    candidate=0.712,
    champion=None,
    difference_low=None,
    difference_high=None,
    rows=1200,
    table_sha256="e" * 64,
    rules=(),
)


def window(number: int) -> Window:
    """The week of that number."""
    return Window(START + number * WEEK, START + (number + 1) * WEEK)


def decided(number: int, *, labelled: int, quality: float | None = None, **changes) -> Decision:
    """A week's decision, with what was known then."""
    facts = WindowFacts(
        window=window(number),
        version=1,
        rows=ROWS,
        labelled_rows=labelled,
        drift_share=0.25,
        quality=quality,
        reference_quality=0.7,
        expected_quality=0.72,
        expected_low=0.68,
        expected_high=0.75,
        training_cost=0.05,
        serving_cost=0.01,
    )
    given = {"verdict": "keep", "reason": f"no, because week {number} is calm"} | changes
    return Decision(f"d{number}", "watched", window(number), 1, rules=(), facts=facts, **given)


def answered(ledger: Ledger, schema: Schema, number: int) -> list[str]:
    """A week's answers in the ledger; the ids of its predictions."""
    chances = [0.9 if row % 3 else 0.2 for row in range(ROWS)]
    batch = asked(
        ROWS,
        at=window(number).start,
        received_at=micros(window(number).start),
        inputs={column.name: [1.0 if column.kind == "number" else "EWR"] * ROWS for column in schema.features},
        outputs={"prediction": [int(chance > 0.5) for chance in chances], "probability": chances},
    )
    ledger.record(batch)
    return list(batch.ids)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, Environment]]:
    """A project with a champion in a registry of files, and two weeks of answers whose labels came late."""
    folder = tmp_path_factory.mktemp("watched")
    with pytest.MonkeyPatch.context() as patch, another_registry():
        for name in ("EVERFIT_TRACKING_URI", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
            patch.delenv(name, raising=False)
        patch.setenv("EVERFIT_HOME", str(folder / "home"))
        yield lived(folder)


def lived(folder: Path) -> tuple[Project, Environment]:
    """The same, in the home folder that the environment names."""
    environment = Environment()
    tracking.connect(environment)
    made = hand_over(folder, "watched")
    versions.promote(made.register(), VERDICT, at=START)
    trigger = made.project.monitoring.trigger.model_copy(update={"min_labelled_rows": 50})
    monitoring = made.project.monitoring.model_copy(update={"trigger": trigger})
    project = made.project.model_copy(update={"monitoring": monitoring})
    ledger = Ledger(environment.ledger("watched"))
    first, second = (answered(ledger, made.split.schema, number) for number in range(2))
    ledger.label(labels_of(first[:60], at=window(1).start))
    outbox("watched").add(decided(0, labelled=60, quality=0.5))
    outbox("watched").add(decided(1, labelled=0))
    ledger.label(labels_of(first[60:], at=window(2).start))
    ledger.label(labels_of(second[:10], at=window(2).start))
    ledger.close()
    return project, environment


def labels_of(ids: list[str], *, at: datetime) -> LabelBatch:
    """What was true, where two of three answers were right."""
    return told(ids, [1.0 if row % 3 else 0.0 for row in range(len(ids))], received_at=micros(at))


def test_the_page_shows_the_labels_that_are_in_now_and_what_was_known_then(watched):
    """A window's quality moves as labels come; its decision keeps what it rested on."""
    project, environment = watched

    story = story_of(project, environment)

    first, second = story.windows
    assert (first.labelled_then, first.then) == (60, 0.5)
    assert first.labelled == ROWS
    assert first.auc_loop == pytest.approx(1.0)
    assert first.delay_hours > 24
    assert (second.labelled, second.auc_loop, second.expected) == (10, None, 0.72)
    assert [window.training_cost for window in story.windows] == [0.05, None]
    assert outbox("watched").history("watched")[0].decision.facts.quality == 0.5
    assert story.notes == ()


def test_versions_and_their_lives_come_from_the_registry(watched):
    """The champion is live, with the figure it had when it was registered."""
    project, environment = watched

    story = story_of(project, environment)

    (version,) = story.versions
    assert (version.version, version.state, version.auc) == (1, "live", 0.7)
    assert version.verdict == "roc_auc 0.712 is above the minimum 0.65"
    assert [event.kind for event in story.events] == ["release"]


def test_only_the_newest_windows_are_shown_and_the_page_says_how_many_are_not(watched):
    """A page of five years would take a minute and show nothing."""
    project, environment = watched

    story = story_of(project, environment, windows=1)

    assert [w.start for w in story.windows] == [window(1).start]
    assert story.left_out == 1


def test_a_window_that_was_decided_on_twice_is_shown_once(watched):
    """Another policy decides anew; the newest word counts."""
    entries = outbox("watched").history("watched")
    again = replace(entries[1], decision=replace(entries[1].decision, id="again"))

    found = newest_of_each_window([*entries, again])

    assert [entry.decision.id for entry in found] == ["d0", "again"]


@pytest.mark.browser
def test_the_written_page_opens_in_a_browser(watched, tmp_path: Path):
    """What is shown holds the true quality, the expected one, and what was known then."""
    project, environment = watched
    page = write_report(project, environment, tmp_path / "pages" / "report.html")

    with open_page(page, width=390) as view:
        text, errors = view.text, view.errors
        overflow = view.page.evaluate("document.documentElement.scrollWidth - innerWidth")

    assert "[0.500 then]" in text
    assert "no, because week 1 is calm" in text
    assert "0.680 – 0.750" in text  # noqa: RUF001  a dash, as tables have it
    assert overflow <= 0
    assert errors == []


def test_a_registry_that_does_not_answer_is_said_on_the_page(watched, monkeypatch: pytest.MonkeyPatch):
    """Windows and decisions are shown all the same."""
    project, _ = watched
    monkeypatch.setenv("EVERFIT_TRACKING_URI", "http://127.0.0.1:9")

    story = story_of(project, Environment())

    assert len(story.windows) == 2
    assert story.windows[0].auc_loop == 0.5
    assert story.versions == ()
    assert "http://127.0.0.1:9" in " ".join(story.notes)


def test_a_new_project_has_a_page_from_the_command_line(tmp_path: Path):
    """Nothing has been trained, served or measured: the page says what will stand there. The path is printed alone."""
    project_file = write_project(tmp_path / "project")

    done = everfit("report", str(project_file), home=tmp_path / "home")

    assert done.returncode == 0, done.stderr
    page = Path(done.stdout.strip())
    assert page.name == "report.html"
    assert "has not been watched yet" in page.read_text(encoding="utf-8")


def test_without_a_display_no_browser_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A script or a server is not taken over by a browser for the terminal."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)

    assert not opened(tmp_path / "page.html")


def test_what_happened_is_told_in_order_with_rollouts_and_rollbacks():
    """Moves of the alias, rollouts and versions that were kept back stand beside each other."""
    two, three = (ModelVersion("m", number, "run", "0" * 64) for number in (2, 3))
    days = [START + timedelta(days=day) for day in range(8)]
    made = tuple(
        Made(number, days[number], "why", days[0], outcome, "said", 0.7, "")
        for number, outcome in ((1, "promote"), (2, "promote"), (3, "reject"), (4, ""))
    )
    moves = (
        Move(1, None, days[1], "first"),
        Move(2, 1, days[3], "better"),
        Move(1, 2, days[6], "was worse", "ann@host", True),
    )
    lives = (LiveEntry(1, days[1], days[3], ""), LiveEntry(2, days[3], days[6], ""), LiveEntry(1, days[6], None, ""))
    episodes = (
        Episode(2, (Challenger(two, "canary", 0.1, 0, days[2], 1),), days[3], "promoted", "enough seen"),
        Episode(3, (Challenger(three, "shadow", 0.0, 0, days[4], 2),), days[5], "aborted", "slower"),
    )
    known = Registry(made, lives, moves, episodes)

    events = told_events([], known)
    found = {version.version: version for version in told_versions(known, {1: 0.71})}

    assert [(event.kind, event.version) for event in events] == [
        *(("release", 1), ("rollout", 2), ("promotion", 2), ("rejection", 3)),
        *(("rollout", 2), ("rollout", 3), ("rollout", 3), ("rollback", 1)),
    ]
    assert events[-1].detail == "ann@host went back from v2: was worse"
    assert {number: version.state for number, version in found.items()} == {
        1: "live",
        2: "rolled back",
        3: "not promoted",
        4: "not judged",
    }
    assert len(found[1].lives) == 2
    assert (found[1].auc, found[2].auc) == (0.71, 0.7)


def test_a_probation_is_told_and_makes_nobody_a_challenger():
    """The version before answers unseen beside the new champion: it is replaced, and not on its way back."""
    one = ModelVersion("m", 1, "run", "0" * 64)
    days = [START + timedelta(days=day) for day in range(4)]
    made = tuple(Made(number, days[number - 1], "why", None, "promote", "said", 0.7, "") for number in (1, 2))
    moves = (Move(1, None, days[0], "first"), Move(2, 1, days[1], "better"))
    shadow = Challenger(one, "shadow", 0.0, 0, days[2], 2, "probation")
    known = Registry(made, (), moves, (Episode(1, (shadow,)),))

    events = told_events([], known)

    assert [version.state for version in told_versions(known, {})] == ["replaced", "live"]
    assert events[-1].detail == "v2 is on probation; this version answers unseen beside it"

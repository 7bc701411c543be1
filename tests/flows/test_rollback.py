"""Rolling back under load with real servers: no request fails, and the history tells all of it."""

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from components.errors import ModelRefused
from components.records.models import ModelFiles, ModelVersion
from components.records.scores import Verdict
from components.records.watching import Window
from components.registry import fetching, versions
from components.registry.history import live_at, live_history
from components.serving import rollout
from flows.demo.application import Application, Batch
from flows.rollback import roll_back, sentences
from flows.stack.background import as_variables
from flows.tasks import watching
from tests.components.registry.conftest import hand_over
from tests.flows.harness import Harness
from tests.flows.small import BEGIN, NAME

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(600)]

# Far from the windows that other tests of the session measure.
WINDOW = Window(datetime(2012, 8, 1, tzinfo=UTC), datetime(2012, 8, 3, tzinfo=UTC))


class Sender(threading.Thread):
    """An application that sends batches, one after the other, until it is told to stop."""

    def __init__(self, service: str, batches: list[Batch]) -> None:
        super().__init__(daemon=True)
        self.application = Application(service, timedelta(0))
        self._batches = batches
        self._stopped = threading.Event()

    def run(self) -> None:
        """Send."""
        while not self._stopped.is_set():
            for batch in self._batches:
                self.application.send(batch)

    def stop(self) -> None:
        """Send no more; returns when the last answer is there."""
        self._stopped.set()
        self.join(60)


@pytest.fixture(scope="module")
def pair(live: Harness) -> tuple[ModelVersion, ModelVersion]:
    """The champion so far, and a second version of other rows that took over from it and is live."""
    old = versions.champion(NAME)
    assert old is not None
    verdict = versions.read_verdict(old)
    assert verdict is not None
    live.run("train", until=BEGIN - timedelta(days=2), reason="second")
    new = versions.versions(NAME)[-1]
    versions.promote(new, replace(verdict, outcome="promote", reason="for this test"), at=datetime.now(UTC))
    live.run("release")
    assert versions.champion(NAME) == new
    return old, new


def test_a_rollback_under_load_fails_no_request_and_is_in_the_history(
    live: Harness, batches: list[Batch], pair: tuple[ModelVersion, ModelVersion]
):
    """The command moves alias and endpoint while requests come in; afterwards any past moment can be asked for."""
    old, new = pair
    sender = Sender(live.environment.service, batches[:20])
    sender.start()
    time.sleep(1)
    typed = time.time()

    done = _everfit(live, "rollback", str(live.project.file), "--reason", "too many alarms")
    seconds = time.time() - typed
    sender.stop()

    traffic, move = sender.application.traffic, versions.moves(NAME)[-1]
    assert done.returncode == 0, done.stderr
    first = traffic.first_answers[old.version]
    print(f"{done.stdout}first answer of the old version {first - move.at.timestamp():.2f} s after the alias moved,")
    print(f"{first - typed:.2f} s after the command was typed; it took {seconds:.2f} s; {traffic.requests} requests")
    assert traffic.failed_requests == 0, traffic.failures
    assert set(traffic.first_answers) == {old.version, new.version}
    assert versions.champion(NAME) == old
    assert rollout.is_live(rollout.live_model(live.environment.service), old)
    assert (move.version, move.before, move.reason) == (old.version, new.version, "too many alarms")
    assert [(entry.version, entry.is_seen) for entry in live_history(NAME)[-2:]] == [
        (new.version, True),
        (old.version, True),
    ]
    assert live_at(NAME, move.at - timedelta(milliseconds=1)).version == new.version
    table = _everfit(live, "history", str(live.project.file))
    assert f"rolled back from {new.version}: too many alarms" in _words(table.stdout), table.stdout + table.stderr
    assert "still" in table.stdout
    said = _everfit(live, "history", NAME, "--at", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}").stdout
    assert f"version {old.version} of {NAME} was live" in said
    assert f"rolled back from {new.version}: too many alarms" in said


def test_what_is_answered_after_it_is_measured_against_the_old_versions_own_reference(
    live: Harness, batches: list[Batch], pair: tuple[ModelVersion, ModelVersion]
):
    """Drift reference and yardstick of quality went with the alias: nothing had to be moved, nothing was forgotten."""
    old, new = (fetching.fetch(version, live.environment.cache()) for version in pair)
    application = Application(live.environment.service, timedelta(0))
    for batch in _moved_to(batches[:30], live, WINDOW.start):
        application.send(batch)

    watching.compact.fn(live.project, old)
    facts = watching.measure.fn(live.project, WINDOW, old)

    assert application.traffic.failed_requests == 0, application.traffic.failures
    assert facts.rows > 500
    assert facts.version == old.version.version
    assert facts.reference_quality == pytest.approx(_quality(old))
    assert _quality(old) != pytest.approx(_quality(new))
    assert old.reference.read_bytes() != new.reference.read_bytes()


def test_a_second_rollback_says_that_there_is_nothing_to_do(live: Harness, pair: tuple[ModelVersion, ModelVersion]):
    """Typed twice by someone in a hurry, it neither goes further back nor leaves a second trace."""
    before = versions.moves(NAME)

    done = _everfit(live, "rollback", str(live.project.file))

    assert done.returncode == 0, done.stderr
    assert f"version {pair[0].version} of {NAME} is champion already" in done.stdout
    assert versions.moves(NAME) == before


def test_a_version_that_is_not_there_is_a_sentence(live: Harness):
    """Wanted, found, what there is; no traceback."""
    rolled = _everfit(live, "rollback", str(live.project.file), "--to", "99")
    told = _everfit(live, "history", "no-such-model")

    assert (rolled.returncode, told.returncode) == (1, 1)
    assert f"wanted version 99 of {NAME}" in rolled.stderr
    assert "wanted what was live of no-such-model, found that no version of it ever was" in told.stderr
    assert "Traceback" not in rolled.stderr + told.stderr


def test_what_would_not_answer_is_refused_before_the_alias_moves(live: Harness, tmp_path: Path):
    """A file that was changed is found while the champion still answers; whole again, the version takes over.

    The endpoint of the stack serves another project, so the rollback ends with the alias, and says so.
    """
    verdict = Verdict("promote", "good", "roc_auc", 0.7, None, None, None, rows=9, table_sha256="a" * 64)
    made = [hand_over(tmp_path, "brake-test", weight=weight) for weight in (1.0, 2.0)]
    first, second = (one.register() for one in made)
    for version in (first, second):
        versions.promote(version, verdict, at=BEGIN)
    graph = fetching.fetch(first, live.environment.cache()).graph
    whole = graph.read_bytes()
    graph.write_bytes(whole[:-1] + b"x")
    with pytest.raises(ModelRefused, match="sha256"):
        roll_back(made[0].project)
    between = versions.champion("brake-test")
    graph.write_bytes(whole)

    done = roll_back(made[0].project, reason="whole again")

    assert between == second
    assert versions.champion("brake-test") == done.version == first
    assert done.live_since is None
    told = sentences(done)
    assert told[0].startswith("version 1 of brake-test is champion in place of version 2 (")
    assert told[0].endswith(": whole again)")
    assert told[1].endswith("does not answer for brake-test; it follows when it is up")


def _quality(files: ModelFiles) -> float:
    return files.metrics["roc_auc"]


def _moved_to(batches: list[Batch], live: Harness, start: datetime) -> list[Batch]:
    """The same rows as if they had begun at that moment."""
    column, shift = live.project.data.timestamp, start - batches[0].times[0]
    return [
        Batch(
            rows=[row | {column: at + shift} for row, at in zip(batch.rows, batch.times, strict=True)],
            times=[at + shift for at in batch.times],
            labels=batch.labels,
        )
        for batch in batches
    ]


def _words(table: str) -> str:
    """What stands in the last column, without the frame and the line breaks."""
    cells = [line.rpartition("│")[0].rpartition("│")[2] for line in table.splitlines() if "│" in line]
    return " ".join(" ".join(cells).split())


def _everfit(live: Harness, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows", *arguments]
    env = os.environ | as_variables(live.environment)
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)

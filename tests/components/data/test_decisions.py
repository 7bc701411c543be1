import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from components.data.decisions import Decisions
from components.errors import LedgerError, PassingFault
from components.records.scores import Rule
from components.records.watching import Decision, DecisionVerdict, Window, WindowFacts
from tests.components.data.ledgers import START, run_python
from tests.programs import require_program


def decision(week: int = 0, *, verdict: DecisionVerdict = "retrain", project: str = "flight-delays") -> Decision:
    """What was decided in that week, with every field filled."""
    window = Window(START + timedelta(weeks=week), START + timedelta(weeks=week + 1))
    facts = WindowFacts(
        window=window,
        version=3,
        rows=4_000,
        labelled_rows=3_500,
        drifted_columns=("temp", "wind"),
        drift_share=0.25,
        prediction_drifted=True,
        broken_columns=("naïve, “quoted”",),
        quality=0.6875,
        reference_quality=0.72,
        report="https://reports/1",
        version_live_since=START - timedelta(days=3),
    )
    return Decision(
        id=f"{project}/{week}",
        project=project,
        window=window,
        version=3,
        verdict=verdict,
        reason="roc_auc fell by 0.03",
        rules=(Rule("enough rows", passed=True, detail="4,000 of 1,000"), Rule("rested", passed=False, detail="no")),
        facts=facts,
    )


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """Address of a PostgreSQL of our own, on a socket; it refuses to be run by root."""
    programs = Path(require_program("initdb", "postgresql")).resolve().parent
    folder = tempfile.mkdtemp(prefix="pg")  # the path of a socket must be short
    user = ["su", "postgres", "-c"] if os.geteuid() == 0 else ["sh", "-c"]
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")

    def run(command: str) -> None:
        subprocess.run([*user, f"{programs}/{command}"], check=True, stdout=subprocess.DEVNULL)

    run(f"initdb -D {folder}/db -U postgres -A trust --no-sync")
    run(f"pg_ctl -D {folder}/db -l {folder}/log -o \"-k {folder} -c listen_addresses=''\" -w start")
    yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
    run(f"pg_ctl -D {folder}/db -m immediate stop")
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs_postgres)])
def url(request, tmp_path) -> str:
    """Address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger/decisions.db"
    address: str = request.getfixturevalue("postgres")
    engine = sa.create_engine(address, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS decisions"))
    return address


@pytest.fixture
def decisions(url) -> Decisions:
    """An empty outbox."""
    return Decisions(url)


def test_a_decision_comes_back_equal(decisions):
    """Facts, rules, times and texts of a decision are the same after they were stored."""
    added = decisions.add(decision())

    (entry,) = decisions.history("flight-delays")

    assert added
    assert entry.decision == decision()
    assert (entry.state, entry.attempts, entry.run_id, entry.outcome) == ("decided", 0, None, None)
    assert datetime.now(UTC) - entry.decided_at < timedelta(minutes=1)
    assert entry.decided_at.utcoffset() == timedelta(0)


def test_measured_numbers_may_be_numpys(decisions):
    """Facts that hold numpy's numbers are stored as plain ones."""
    facts = WindowFacts(decision().window, 3, 10, 10, quality=np.float64(0.5), drift_share=np.float32(0.25))
    measured = Decision("id", "p", decision().window, 3, "keep", "steady", (), facts)

    decisions.add(measured)

    assert decisions.history("p")[0].decision.facts.quality == 0.5


def test_deciding_twice_changes_nothing(decisions):
    """A decision whose id is there already is not written again, not even over a finished one."""
    decisions.add(decision())
    decisions.claim("flight-delays/0", "run 1")

    added = decisions.add(decision())

    assert not added
    assert [entry.state for entry in decisions.history("flight-delays")] == ["running"]


def test_history_follows_event_time(decisions):
    """History is ordered by the windows, also when an older one was decided later; a limit keeps the newest."""
    for week in (2, 0, 1):
        decisions.add(decision(week))
    decisions.add(decision(9, project="other"))

    everything = [entry.decision.id for entry in decisions.history("flight-delays")]
    newest = [entry.decision.id for entry in decisions.history("flight-delays", limit=2)]

    assert everything == ["flight-delays/0", "flight-delays/1", "flight-delays/2"]
    assert newest == ["flight-delays/1", "flight-delays/2"]


def test_only_decisions_to_retrain_are_pending(decisions):
    """Keeping and asking is closed at once; retraining waits until a run has taken it, emitted or not."""
    for week, verdict in enumerate(["keep", "ask", "retrain", "retrain", "retrain"]):
        decisions.add(decision(week, verdict=verdict))
    decisions.mark_emitted("flight-delays/3")
    decisions.claim("flight-delays/4", "run 1")
    decisions.add(decision(0, project="other"))

    pending = [(entry.decision.id, entry.state) for entry in decisions.pending("flight-delays")]

    assert pending == [("flight-delays/2", "decided"), ("flight-delays/3", "emitted")]
    assert [entry.decision.project for entry in decisions.pending()] == ["other", "flight-delays", "flight-delays"]
    assert [entry.state for entry in decisions.history("flight-delays")][:2] == ["closed", "closed"]


def test_a_decision_is_emitted_once(decisions):
    """Whoever marks a decision as emitted first is told so; one that runs is not emitted again."""
    decisions.add(decision())

    assert decisions.is_unheard("flight-delays/0")
    assert decisions.mark_emitted("flight-delays/0")
    assert not decisions.is_unheard("flight-delays/0")
    assert not decisions.mark_emitted("flight-delays/0")
    decisions.claim("flight-delays/0", "run 1")
    assert not decisions.mark_emitted("flight-delays/0")
    decisions.release("flight-delays/0", "its run died")
    assert decisions.is_unheard("flight-delays/0")


def test_a_claim_holds_until_it_is_finished(decisions):
    """A taken decision is running, can not be taken again, and ends with what came of it."""
    decisions.add(decision())
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)

    first, second = (decisions.claim("flight-delays/0", run, now) for run in ("run 1", "run 2"))
    (running,) = decisions.running("flight-delays")
    finished = decisions.finish("flight-delays/0", "promote", "better by 0.02", 4)

    assert (first, second, finished) == (True, False, True)
    assert (running.run_id, running.updated_at) == ("run 1", now)
    (done,) = decisions.history("flight-delays")
    assert (done.state, done.outcome, done.detail, done.candidate_version) == ("done", "promote", "better by 0.02", 4)
    assert decisions.running("flight-delays") == []
    assert not decisions.claim("flight-delays/0", "run 3")


def test_of_eight_processes_one_gets_the_decision(url):
    """However many processes make the table and take the decision at once, exactly one is told that it has it."""
    program = """
import os, sys, time
from datetime import timedelta
from components.data.decisions import Decisions
from components.records.watching import Decision, Window, WindowFacts
from tests.components.data.ledgers import START
window = Window(START, START + timedelta(days=1))
start, won = time.time() + 0.5, 0
for number in range(8):
    if os.fork() == 0:
        decisions = Decisions(sys.argv[1])
        time.sleep(max(0, start - time.time()))
        added = decisions.add(Decision("one", "p", window, 1, "retrain", "r", (), WindowFacts(window, 1, 0, 0)))
        claims = sum(decisions.claim("one", f"run {number}") for _ in range(5))
        os._exit(10 * added + claims)
print(sum(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(8)))
"""

    added_and_claimed = run_python(program, url)

    assert int(added_and_claimed) == 11


def test_a_dead_run_gives_back_and_three_are_enough(decisions):
    """A released decision is pending again, with the reason; after the third attempt it is failed."""
    decisions.add(decision())
    states = []

    for attempt in range(3):
        decisions.claim("flight-delays/0", f"run {attempt}")
        decisions.release("flight-delays/0", "its worker died")
        (entry,) = decisions.history("flight-delays")
        states.append((entry.state, entry.attempts))

    assert states == [("decided", 1), ("decided", 2), ("failed", 3)]
    assert entry.detail == "its worker died"
    assert decisions.pending("flight-delays") == []
    assert not decisions.claim("flight-delays/0", "run 4")


def test_a_run_that_lost_its_decision_does_not_close_it(decisions):
    """A run taken for dead that wakes up late can not finish what another has taken since."""
    decisions.add(decision())
    decisions.claim("flight-delays/0", "late")
    decisions.release("flight-delays/0", "no sign of life")
    decisions.claim("flight-delays/0", "second")

    closed = decisions.finish("flight-delays/0", "promote", "late", 4, run_id="late")
    given_back = decisions.release("flight-delays/0", "late", run_id="late")

    assert (closed, given_back) == (False, False)
    assert decisions.running("flight-delays")[0].run_id == "second"


def test_the_last_retraining_is_the_newest_that_ran(decisions):
    """Rest is counted from the newest window whose decision led to a retraining, not from those that wait or failed."""
    assert decisions.last_retraining("flight-delays") is None
    for week in range(4):
        decisions.add(decision(week, verdict="keep" if week == 3 else "retrain"))
    decisions.claim("flight-delays/1", "run 1")
    decisions.claim("flight-delays/0", "run 2")
    decisions.finish("flight-delays/0", "reject", "worse", 4)

    last = decisions.last_retraining("flight-delays")

    assert last is not None
    assert last.decision.id == "flight-delays/1"


def test_an_unknown_decision_is_named(decisions):
    """Changing a decision that is not there says which, and where it was looked for."""
    with pytest.raises(
        LedgerError, match=r"wanted to change decision nope, but .*(sqlite|postgres).* holds none of that"
    ):
        decisions.claim("nope", "run 1")


def test_a_naive_time_is_refused(decisions):
    """A moment without a zone is refused."""
    decisions.add(decision())
    naive = datetime(2026, 3, 1)  # noqa: DTZ001 - that it is naive is the point

    with pytest.raises(LedgerError, match=r"keeps UTC times, but 2026-03-01 00:00:00 has no zone; pass an aware time"):
        decisions.claim("flight-delays/0", "run 1", naive)


def test_a_file_that_is_no_database_is_said(tmp_path):
    """A file in the place of the database is named, and left as it is."""
    file = Path(tmp_path, "decisions.db")
    file.write_text("these are no decisions " * 100)

    with pytest.raises(
        LedgerError, match=r"decisions.db, but that failed: .*not a database(.|\n)*; restore it from a backup"
    ):
        Decisions(f"sqlite:///{file}").history("flight-delays")

    assert file.read_text().startswith("these are no decisions")


def test_a_server_that_does_not_answer_may_be_tried_again():
    """A database that cannot be reached is a passing fault, and its message hides the password."""
    decisions = Decisions("postgresql+psycopg://everfit:secret@127.0.0.1:9/everfit")

    with pytest.raises(PassingFault, match=r"wanted to use the database .*127.0.0.1:9.*, but it said") as caught:
        decisions.history("flight-delays")

    assert "secret" not in str(caught.value)

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
from components.data.entries import TABLE
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
    for week, verdict in enumerate(["keep", "ask", "retrain"]):
        decisions.add(decision(week, verdict=verdict))
    decisions.mark_emitted("flight-delays/2")
    decisions.add(decision(0, project="other"))

    pending = [(entry.decision.id, entry.state, entry.is_open) for entry in decisions.pending("flight-delays")]

    assert pending == [("flight-delays/2", "emitted", True)]
    assert [entry.decision.project for entry in decisions.pending()] == ["other", "flight-delays"]
    assert [(entry.state, entry.is_open) for entry in decisions.history("flight-delays")][:2] == [("closed", False)] * 2
    decisions.claim("flight-delays/2", "run 1")
    assert decisions.pending("flight-delays") == []


def test_what_breaches_while_a_retraining_runs_waits_as_one(decisions):
    """Of several open decisions the newest stays, in whatever order they came; the others say which stands for them."""
    decisions.add(decision(0))
    decisions.claim("flight-delays/0", "run 1")
    for week in (1, 3, 2):
        decisions.add(decision(week))

    entries = {entry.decision.id: entry for entry in decisions.history("flight-delays")}

    states = [entry.state for entry in entries.values()]
    assert states == ["running", "closed", "closed", "decided"]
    for week in (1, 2):
        closed = entries[f"flight-delays/{week}"]
        assert closed.outcome == "superseded"
        assert closed.detail.startswith("decision flight-delays/3 asks for the same with newer data, until ")
        assert not decisions.claim(closed.decision.id, "run 2")
    assert not decisions.mark_emitted("flight-delays/1")


def test_a_decision_given_back_gives_way_to_a_newer_one(decisions):
    """A run dies while a newer breach waits: the newer one is carried out, and the older one by it."""
    decisions.add(decision(0))
    decisions.claim("flight-delays/0", "run 1")
    decisions.add(decision(1))

    decisions.release("flight-delays/0", "its process is gone")

    assert [entry.decision.id for entry in decisions.pending("flight-delays")] == ["flight-delays/1"]
    assert decisions.entry("flight-delays/0").outcome == "superseded"


def test_a_retraining_covers_what_was_decided_before_it_ended(decisions):
    """A breach of older data than a retraining has just learned from is closed; a newer one waits on."""
    decisions.add(decision(5))
    decisions.claim("flight-delays/5", "run 1")
    decisions.add(decision(4))
    assert [entry.decision.id for entry in decisions.pending("flight-delays")] == ["flight-delays/4"]

    decisions.finish("flight-delays/5", "reject", "worse", 4)

    covered = decisions.entry("flight-delays/4")
    assert (covered.state, covered.outcome) == ("closed", "superseded")
    assert "decision flight-delays/5 has been carried out since, on data until" in covered.detail
    decisions.add(decision(3))
    assert decisions.entry("flight-delays/3").is_open, "decided after it ended: measured again on purpose"


def test_a_stale_decision_is_closed_by_the_run_that_has_it(decisions):
    """A run that finds its decision out of date closes it with the reason, and nobody takes it again."""
    decisions.add(decision(0))
    decisions.claim("flight-delays/0", "run 1")

    by_another = decisions.close("flight-delays/0", "stale", "version 3 was replaced", run_id="run 2")
    closed = decisions.close("flight-delays/0", "stale", "version 3 was replaced by 4 meanwhile", run_id="run 1")

    entry = decisions.entry("flight-delays/0")
    assert (by_another, closed) == (False, True)
    assert (entry.state, entry.outcome, entry.detail) == ("closed", "stale", "version 3 was replaced by 4 meanwhile")
    assert not decisions.claim("flight-delays/0", "run 3")
    assert not decisions.release("flight-delays/0", "late", run_id="run 1")


def test_retrainings_are_what_the_next_decision_must_know(decisions):
    """With gain and cost of those that ended; without those that were closed, for which nothing was trained."""
    endings = {0: ("promote", 0.02, 1.5), 1: ("reject", -0.01, None)}
    for week, (outcome, gain, cost) in endings.items():
        decisions.add(decision(week))
        decisions.claim(f"flight-delays/{week}", "run")
        decisions.finish(f"flight-delays/{week}", outcome, "why", 4 + week, gain=gain, cost=cost)
    for week in (2, 3):
        decisions.add(decision(week))
    decisions.add(decision(4, verdict="keep"))

    known = decisions.retrainings("flight-delays")

    assert [(one.decision_id, one.outcome, one.gain, one.cost) for one in known] == [
        ("flight-delays/0", "promote", 0.02, 1.5),
        ("flight-delays/1", "reject", -0.01, None),
        ("flight-delays/3", None, None, None),
    ]


def test_an_outage_is_no_attempt(decisions):
    """A run that met a server that was away gives back without a count, however often."""
    decisions.add(decision())

    for attempt in range(4):
        decisions.claim("flight-delays/0", f"run {attempt}")
        decisions.release("flight-delays/0", "MLflow did not answer", counts=False)

    (entry,) = decisions.pending("flight-delays")
    assert (entry.state, entry.attempts, entry.detail) == ("decided", 0, "MLflow did not answer")


def test_a_table_of_an_older_version_gets_the_new_columns(url):
    """What was written before a column existed is read, with nothing in it, and can be carried out."""
    old = sa.MetaData()
    columns = [column.copy() for column in TABLE.columns if column.name not in {"gain", "cost"}]
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    if engine.dialect.name == "sqlite":
        Path(engine.url.database).parent.mkdir(parents=True)
    with engine.begin() as connection:
        sa.Table("decisions", old, *columns).create(connection)
    decisions = Decisions(url)
    with engine.begin() as connection:
        before = sa.inspect(connection).get_columns("decisions")
    assert "gain" not in {column["name"] for column in before}

    decisions.add(decision())
    decisions.claim("flight-delays/0", "run 1")
    decisions.finish("flight-delays/0", "promote", "better", 4, gain=0.01, cost=2.0)

    (entry,) = Decisions(url).history("flight-delays")
    assert (entry.gain, entry.cost) == (0.01, 2.0)


def test_eight_processes_may_add_the_new_columns_at_once(tmp_path):
    """All first uses after an upgrade succeed, and no decision of before is lost."""
    url = f"sqlite:///{tmp_path}/decisions.db"
    Decisions(url).add(decision())
    with sa.create_engine(url).begin() as connection:
        for name in ("gain", "cost"):
            connection.execute(sa.text(f"ALTER TABLE decisions DROP COLUMN {name}"))
    program = """
import os, sys
from components.data.decisions import Decisions
for _ in range(8):
    if os.fork() == 0:
        os._exit(len(Decisions(sys.argv[1]).history("flight-delays")))
print(sum(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(8)))
"""

    found = run_python(program, url)

    assert int(found) == 8


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

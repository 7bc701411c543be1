"""Exactly once, whoever is killed and when: `components.data.compaction` under SIGKILL."""

from collections import Counter

import polars as pl

from components.data.compaction import compact, table_path
from components.data.ledger import segment_folder
from components.data.segments import segments
from tests.components.data.ledgers import SCHEMA, run_python

# Kills a compaction at its n-th step, for n over all of them. A step is any call or return in the modules that read
# segments and write tables. Each n has a ledger of its own, so that the first creation of a table is among the steps.
KILLED_AT_EACH_STEP = """
import os, signal, sys
from collections import Counter
from pathlib import Path

import cloudpickle, polars, pyarrow.dataset  # what a first compaction loads: once is faster than in each child
from components.data import compaction
from components.data.compaction import compact, table_path
from components.data.ledger import Ledger
from tests.components.data.ledgers import SCHEMA, asked, told

WATCHED = ("compaction.py", "segments.py", "frames.py", "deltalake/table.py", "deltalake/writer/writer.py")


def in_a_child(work):
    child = os.fork()  # polars and deltalake are loaded but not used in the parent: nothing of theirs runs yet
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at(step, folder):
    seen = 0

    def watch(frame, event, argument):
        nonlocal seen
        seen += frame.f_code.co_filename.endswith(WATCHED)
        if seen == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def work():
        sys.setprofile(watch)
        compact(folder, SCHEMA)

    return in_a_child(work)


def answered(folder):
    ledger, batch = Ledger(folder), asked(2)
    ledger.record(batch)
    ledger.label(told(batch.ids, [1.0, 0.0]))
    ledger.close()
    return batch.ids


def check(folder, ids):
    compact(folder, SCHEMA)
    for kind in ("predictions", "labels"):
        found = polars.read_delta(str(table_path(folder, kind)))["prediction_id"].to_list()
        assert Counter(found) == Counter(ids), (kind, folder, Counter(found), ids)
        assert not list((folder / "segments").iterdir())


kills, step = 0, int(sys.argv[2])
while True:
    folder = Path(sys.argv[1]) / str(step)
    ids = answered(folder)
    died = killed_at(step, folder)
    ids += answered(folder)
    killed_at(step, folder)
    assert in_a_child(lambda: check(folder, ids)) == 0, step
    if died == 0:
        break
    assert died == -signal.SIGKILL, died
    kills += 1
    step += int(sys.argv[3])
print(kills)
"""


def test_a_compaction_killed_at_any_step_loses_and_doubles_nothing(tmp_path):
    """Wherever a compaction is killed, the next one brings every row into the tables exactly once."""
    # Every 41st of some 500 steps takes four seconds on an idle machine; a stride of 7 was run by hand and held too.
    kills = run_python(KILLED_AT_EACH_STEP, tmp_path, 1, 41)

    assert int(kills) > 8


# A writer and two compactions at once, each killed at random moments and started again, for so many seconds.
KILLED_AT_RANDOM = """
import os, random, signal, sys, time
from pathlib import Path

import cloudpickle, polars, pyarrow.dataset  # what a first compaction loads: once is faster than in each child
from components.data import compaction
from components.data.compaction import compact
from components.data.ledger import Ledger
from tests.components.data.ledgers import SCHEMA, asked, told

folder, seconds, chance = Path(sys.argv[1]), float(sys.argv[2]), random.Random(7)


def write():
    ledger = Ledger(folder)
    acknowledged = os.open(folder.parent / "acknowledged", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    while True:
        batch = asked(5)
        ledger.record(batch)
        ledger.label(told(batch.ids, [1.0] * 5))
        os.write(acknowledged, "".join(f"{name}\\n" for name in batch.ids).encode())
        time.sleep(0.001)


def compact_on():
    while True:
        compact(folder, SCHEMA)


def begin(work):
    child = os.fork()
    if child == 0:
        work()
    return child, time.monotonic() + chance.uniform(0.01, 0.4)


works = [write, compact_on, compact_on]
running = [begin(work) for work in works]
kills, end = 0, time.monotonic() + seconds
while time.monotonic() < end:
    for place, (child, until) in enumerate(running):
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert code == -signal.SIGKILL, code
            kills += 1
            running[place] = begin(works[place])
    time.sleep(0.005)
for child, _ in running:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
print(kills)
"""


def test_writers_and_compactions_killed_at_random_lose_and_double_nothing(tmp_path):
    """Two compactions run beside a writer, all are killed again and again: every acknowledged row is there, once."""
    folder = tmp_path / "ledger"

    kills = run_python(KILLED_AT_RANDOM, folder, 4)
    compact(folder, SCHEMA)

    acknowledged = (tmp_path / "acknowledged").read_text().split()
    for kind in ("predictions", "labels"):
        found = Counter(pl.read_delta(str(table_path(folder, kind)))["prediction_id"])
        assert set(found.values()) == {1}
        assert not set(acknowledged) - set(found)
    assert segments(segment_folder(folder), "predictions") == []
    assert int(kills) > 20
    assert len(acknowledged) > 1000

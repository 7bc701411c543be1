"""Parts of a long piece of work are seen together, once, whatever is killed on the way."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from components.data.compaction import compact
from components.data.ledger import PREDICTIONS, Ledger, segment_folder
from components.data.segments import segments
from components.data.staging import Stage
from components.data.windows import counts
from components.errors import LedgerError
from tests.components.data.ledgers import SCHEMA, asked

RUN = "6d0b5a2f83c1e09b77d4"
ROOT = Path(__file__).parents[3]


def test_parts_are_seen_when_they_are_published(tmp_path: Path):
    """A reader in the meantime sees what requests wrote, and nothing of an unfinished run."""
    requests, stage = Ledger(tmp_path), Stage(tmp_path, RUN, "disk")
    requests.record(asked(3))
    for number in range(2):
        with stage.part(number) as pen:
            pen.record(asked(2))
    before = compact(tmp_path, SCHEMA).predictions

    stage.publish()

    after = compact(tmp_path, SCHEMA).predictions
    requests.close()
    assert (before, after) == (3, 4)
    assert counts(tmp_path)["predictions"] == 7
    assert [one.name for one in tmp_path.glob(".*")] == []


def test_a_part_with_an_error_is_not_kept(tmp_path: Path):
    """The parts before it are; where there is none, no folder is left."""
    stage = Stage(tmp_path, RUN)

    with pytest.raises(LedgerError, match="timestamps has 1"), stage.part(0) as pen:
        pen.record(asked(2, timestamps=[1]))

    assert list(tmp_path.iterdir()) == []
    stage.publish()
    assert segments(segment_folder(tmp_path), PREDICTIONS) == []


def test_a_part_that_is_done_again_replaces_itself_and_what_came_behind(tmp_path: Path):
    """Whoever was stopped before it noted a part as done does it again: its rows are there once."""
    for number, rows in [(0, 2), (1, 3), (0, 5)]:
        with Stage(tmp_path, RUN).part(number) as pen:
            pen.record(asked(rows))

    Stage(tmp_path, RUN).publish()

    assert compact(tmp_path, SCHEMA).predictions == 5


def test_publishing_again_publishes_nothing_twice(tmp_path: Path):
    """Also when a reader has taken and deleted the segments in between, and one of them came back."""
    stage = Stage(tmp_path, RUN)
    with stage.part(0) as pen:
        pen.record(asked(4))
    (staged,) = (tmp_path / f".staged-{RUN}").glob("*.seg")
    copy = staged.read_bytes()
    stage.publish()
    first = compact(tmp_path, SCHEMA).predictions
    assert segments(segment_folder(tmp_path), PREDICTIONS) == []

    stage.publish()
    (segment_folder(tmp_path) / staged.name).write_bytes(copy)
    second = compact(tmp_path, SCHEMA).predictions

    assert (first, second) == (4, 0)
    assert counts(tmp_path)["predictions"] == 4
    assert segments(segment_folder(tmp_path), PREDICTIONS) == []


def test_nothing_recorded_is_nothing_seen(tmp_path: Path):
    """An empty stage ends well, and one that is given up leaves nothing."""
    with Stage(tmp_path, RUN).part(0):
        pass
    Stage(tmp_path, RUN).publish()
    with (given_up := Stage(tmp_path, "other")).part(0) as pen:
        pen.record(asked(1))
    given_up.discard()

    assert segments(segment_folder(tmp_path), PREDICTIONS) == []
    assert [one.name for one in tmp_path.iterdir()] == ["segments"]


def test_a_kill_in_the_middle_of_a_part_keeps_those_before(tmp_path: Path):
    """What the killed process had begun is gone with it."""
    code = f"""
from pathlib import Path
from components.data.staging import Stage
from tests.components.data.ledgers import asked
stage = Stage(Path({str(tmp_path)!r}), {RUN!r})
with stage.part(0) as pen:
    pen.record(asked(2))
with stage.part(1) as pen:
    pen.record(asked(3))
    print("begun", flush=True)
    input()
"""
    killed = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    assert killed.stdout.readline() == b"begun\n"
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()

    Stage(tmp_path, RUN).publish()

    assert compact(tmp_path, SCHEMA).predictions == 2
    assert [one.name for one in tmp_path.glob(".*")] == []

"""Batches that belong together are seen together, or never."""

from pathlib import Path

import pytest

from components.data.compaction import compact
from components.data.ledger import PREDICTIONS, Ledger, PredictionBatch, segment_folder
from components.data.segments import segments
from components.data.staging import staged
from components.data.windows import counts
from components.errors import LedgerError
from tests.components.data.ledgers import SCHEMA, asked


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_batches_are_seen_when_all_are_there(durability, tmp_path: Path):
    """A reader in the meantime sees what requests wrote, and nothing of an unfinished file."""
    requests = Ledger(tmp_path)
    requests.record(asked(3))

    with staged(tmp_path, durability) as pen:
        pen.record(asked(2))
        pen.record(asked(2))
        before = compact(tmp_path, SCHEMA).predictions
    after = compact(tmp_path, SCHEMA).predictions
    requests.close()

    assert (before, after) == (3, 4)
    assert counts(tmp_path)["predictions"] == 7


def test_after_an_error_nobody_ever_sees_them(tmp_path: Path):
    """Nothing is left in the folder either."""
    crooked = asked(2, timestamps=[1])

    with pytest.raises(LedgerError, match="timestamps has 1"), staged(tmp_path) as pen:
        _record(pen, asked(2), crooked)

    assert segments(segment_folder(tmp_path), PREDICTIONS) == []
    assert list(tmp_path.iterdir()) == []


def test_nothing_recorded_is_nothing_seen(tmp_path: Path):
    """An empty stage ends well."""
    with staged(tmp_path):
        pass

    assert segments(segment_folder(tmp_path), PREDICTIONS) == []


def _record(pen: Ledger, *batches: PredictionBatch) -> None:
    for batch in batches:
        pen.record(batch)

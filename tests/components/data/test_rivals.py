"""What champion and challenger answered since a moment, side by side."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from components.data.compaction import compact
from components.data.ledger import Ledger, new_ids
from components.data.rivals import read_rivals
from components.errors import DataError
from components.records.models import Challenger, ModelVersion
from tests.components.data.ledgers import SCHEMA, START, asked, micros, told

HOUR = timedelta(hours=1)
SECOND = ModelVersion("flight-delays", 2, "run", "a" * 64)


def challenger(variant: str) -> Challenger:
    """Version 2 against version 1."""
    return Challenger(SECOND, variant, 0.0, 0, START, champion=1)


def test_a_shadows_rows_stand_beside_the_champions_with_the_same_label(tmp_path: Path):
    """A label is told once, by the id that the caller got; both sides have it."""
    ids = new_ids(2)
    ledger = Ledger(tmp_path)
    ledger.record(asked(2, ids=ids))
    shadow = {"inputs": {}, "outputs": {"prediction": [0, 1], "probability": [0.25, 0.5]}}
    ledger.record(asked(2, ids=ids, version=2, variant="shadow", **shadow))
    ledger.label(told(ids[:1], [1.0]))
    ledger.close()
    compact(tmp_path, SCHEMA)

    found = read_rivals(tmp_path, challenger("shadow"), since=START, schema=SCHEMA).sort(
        "is_challenger", "prediction_id"
    )

    assert found["is_challenger"].to_list() == [False, False, True, True]
    assert found["prediction"].to_list() == [1, 1, 0, 1]
    assert found["probability"].to_list() == [0.75, 0.75, 0.25, 0.5]
    assert found["label"].to_list() == [1, None, 1, None]


def test_only_rows_of_the_two_received_since_then_are_read(tmp_path: Path):
    """Older rows, another champion's, and those of the same version as a shadow are no part of a canary's step."""
    ledger = Ledger(tmp_path)
    for batch in (
        asked(1, received_at=micros(START - HOUR)),
        asked(1, received_at=micros(START)),
        asked(1, version=2, variant="canary", received_at=micros(START + HOUR)),
        asked(1, version=2, variant="shadow"),
        asked(1, version=2),
        asked(1, version=3),
        asked(1, version=3, variant="canary"),
    ):
        ledger.record(batch)
    ledger.close()
    compact(tmp_path, SCHEMA)

    found = read_rivals(tmp_path, challenger("canary"), since=START, schema=SCHEMA)

    assert found["is_challenger"].to_list() == [False, True]
    assert found["received_at"].to_list() == [START, START + HOUR]


def test_before_anything_was_answered_there_are_no_rows(tmp_path: Path):
    """An empty ledger has all columns and no rows; a moment without a zone is refused."""
    found = read_rivals(tmp_path, challenger("canary"), since=START, schema=SCHEMA)

    assert found.height == 0
    assert {"is_challenger", "request_id", "latency_ms", "label"} <= set(found.columns)
    with pytest.raises(DataError, match="has no zone"):
        read_rivals(tmp_path, challenger("canary"), since=datetime(2026, 1, 1), schema=SCHEMA)  # noqa: DTZ001

"""One prediction is found in the ledger, whether it was compacted or not."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from components.data.compaction import compact
from components.data.ledger import Ledger, PredictionBatch, new_ids
from components.serving.explaining import explain
from components.serving.refusals import Refused
from tests.components.serving import tiny

ROOT = Path(__file__).parents[3]


def record(ledger: Ledger, temps: list[float | None]) -> list[str]:
    """Keep one request of these temperatures; its ids."""
    ids, rows = new_ids(len(temps)), len(temps)
    ledger.record(
        PredictionBatch(
            request_id=ids[0].rpartition("-")[0],
            model="tiny",
            version=3,
            config_sha256="c" * 64,
            received_at=1_767_225_600_000_001,
            latency_ms=0.5,
            ids=ids,
            timestamps=[1_767_312_000_000_000] * rows,
            entity_ids=["7"] * rows,
            inputs={"temp": temps, "wind speed": [0.1] * rows, "carrier": [None] * rows, "tail": ["N1"] * rows},
            outputs={"prediction": [1] * rows, "probability": [0.1 + 0.2] * rows},
        )
    )
    return ids


def test_a_prediction_reads_the_same_from_the_segment_and_from_the_table(tmp_path: Path):
    """The row, what the graph saw, the answer, the version and the times, to the last digit, before and after."""
    ledger = Ledger(tmp_path)
    record(ledger, [1.0])
    ids = record(ledger, [2.0, None])

    fresh = explain(tmp_path, ids[1], tiny.SCHEMA)
    ledger.close()
    compact(tmp_path, tiny.SCHEMA)
    compacted = explain(tmp_path, ids[1], tiny.SCHEMA)

    assert not list((tmp_path / "segments").glob("*.seg"))
    assert fresh == compacted
    assert fresh == {
        "id": ids[1],
        "request_id": ids[1].rpartition("-")[0],
        "caller_request_id": None,
        "model": "tiny",
        "version": 3,
        "variant": "champion",
        "config_sha256": "c" * 64,
        "received_at": datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        "event_time": datetime(2026, 1, 2, tzinfo=UTC),
        "entity_id": "7",
        "latency_ms": 0.5,
        "row": {"temp": None, "wind speed": 0.1, "carrier": None, "tail": "N1"},
        "hashed": {},
        "absent": [],
        "seen": {"temp": "NaN", "wind speed": 0.1, "carrier": "", "tail": "N1"},
        "answered": {"prediction": 1, "probability": 0.1 + 0.2},
    }


@pytest.mark.parametrize("is_compacted", [False, True])
def test_what_a_shadow_said_is_not_what_was_answered(tmp_path: Path, is_compacted: bool):
    """Its row has the same id and may stand in a newer segment; the caller got the champion's answer."""
    ledger = Ledger(tmp_path)
    (name,) = record(ledger, [1.0])
    answered = explain(tmp_path, name, tiny.SCHEMA)
    ledger.close()
    ledger.record(
        PredictionBatch(
            request_id=answered["request_id"],
            model="tiny",
            version=4,
            config_sha256="c" * 64,
            received_at=1_767_225_600_000_001,
            latency_ms=0.5,
            ids=[name],
            timestamps=[1_767_312_000_000_000],
            entity_ids=["7"],
            inputs={},
            outputs={"prediction": [0], "probability": [0.9]},
            variant="shadow",
        )
    )
    if is_compacted:
        ledger.close()
        compact(tmp_path, tiny.SCHEMA)

    assert explain(tmp_path, name, tiny.SCHEMA) == answered
    assert answered["variant"] == "champion"


@pytest.mark.parametrize("name", ["", "x", "../../etc/passwd", "0" * 20 + "-0", "\ud800", "0" * 20 + "-" + "9" * 500])
def test_an_unknown_id_is_not_found(tmp_path: Path, name: str):
    """Whatever is asked for, the answer says what would have been right and names no folder."""
    ledger = Ledger(tmp_path)
    record(ledger, [1.0])

    with pytest.raises(Refused, match="wanted the id of a prediction in the ledger, found none with") as refused:
        explain(tmp_path, name, tiny.SCHEMA)

    assert refused.value.status == 404
    assert str(tmp_path) not in refused.value.error


def test_nothing_heavy_is_imported_until_someone_asks():
    """The service starts without the table's readers, and without polars."""
    code = "import components.serving.explaining, sys; print(sorted({'deltalake', 'polars'} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"

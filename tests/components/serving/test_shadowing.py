"""A shadow is asked behind the answers: what does not fit is dropped, and what it cannot do is told to nobody else."""

import hashlib
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from components.data.ledger import Ledger, PredictionBatch, read_predictions, segment_folder
from components.data.segments import read_frames, segments
from components.records.models import Challenger, ModelFiles, ModelVersion
from components.serving import shadowing
from components.serving.challenging import Challenging
from components.serving.counters import Counters
from components.serving.keeping import to_keep
from components.serving.predictor import Predictor
from components.serving.rows import Rows
from components.serving.shadowing import WAITING_ROWS, Shadowing
from tests.components.serving import tiny
from tests.components.serving.conftest import wait_for


def loaded(folder: Path, bias: float, number: int) -> Predictor:
    """A version of the tiny model, ready to answer."""
    folder.mkdir()
    graph = tiny.graph(bias, folder / "model.onnx")
    version = ModelVersion("tiny", number, "run", hashlib.sha256(graph.read_bytes()).hexdigest())
    files = ModelFiles(version, graph, tiny.SCHEMA, tiny.split(folder).reference.path, {}, f"{number}" * 64)
    return Predictor(files, max_rows=10)


def asked(count: int = 2) -> Rows:
    """That many rows as a request has them."""
    columns = {"temp": [5.0] * count, "wind speed": [0.0] * count, "carrier": [None] * count, "tail": ["N1"] * count}
    return Rows(columns, [1_767_312_000_000_000] * count, ["7"] * count)


class Side:
    """A champion that has answered, and a shadow beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counters = Counters()
        self.champion = loaded(folder / "champion", 0.0, 1)
        predictor = loaded(folder / "shadow", 1.0, 2)
        state = Challenger(predictor.version, "shadow", 0.0, 0, datetime(2026, 3, 1, tzinfo=UTC))
        self.challenger = Challenging(state, predictor, self.counters.rollout)
        self.shadowing = Shadowing(Ledger(folder / "ledger"), self.counters.rollout)

    def add(self, rows: Rows) -> PredictionBatch:
        """Leave a request that the champion answered."""
        kept = to_keep(self.champion, rows, self.champion.run(rows.columns), received_us=1, latency_ms=9.0)
        self.shadowing.add(self.challenger, rows, kept, other_ms=2.0)
        return kept

    def recorded(self) -> list[PredictionBatch]:
        """What the ledger holds."""
        files = segments(segment_folder(self.folder / "ledger"), "predictions")
        return [read_predictions(frame) for file in files for frame in read_frames(file)[0]]

    def counted(self, name: str) -> float:
        """The value of a counter; 0 if it was never counted."""
        lines = [line for line in self.counters.page().decode().splitlines() if line.startswith(f"everfit_{name}")]
        return sum(float(line.rpartition(" ")[2]) for line in lines)


def test_what_a_shadow_says_has_the_ids_of_what_was_answered(tmp_path: Path):
    """Labels find both; the inputs stand once; its latency is what the request would have taken with it."""
    side = Side(tmp_path)

    kept = side.add(asked())
    (found,) = wait_for(side.recorded, seconds=10)
    side.shadowing.close()

    assert (found.ids, found.request_id, found.entity_ids) == (kept.ids, kept.request_id, kept.entity_ids)
    assert (found.variant, found.version, found.config_sha256) == ("shadow", 2, "2" * 64)
    assert found.inputs == {}
    assert found.outputs["probability"] == pytest.approx([tiny.probability(1.0, temp=5.0)] * 2, abs=1e-6)
    assert 2.0 < found.latency_ms < 1_000
    assert (kept.variant, kept.version, kept.latency_ms) == ("champion", 1, 9.0)


def test_what_does_not_fit_into_the_queue_is_dropped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Under more load than it can follow, a shadow sees a part of the rows; memory and answers stay as they are."""
    monkeypatch.setattr(shadowing, "LOOK_SECONDS", 60)  # it takes nothing up meanwhile
    side = Side(tmp_path)

    side.add(asked(WAITING_ROWS - 1))
    side.add(asked(1))
    for _ in range(3):
        side.add(asked(1))
    begun = time.monotonic()
    side.shadowing.close()

    assert side.counted("shadow_dropped_total") == 3
    assert side.counted("challenger_failures_total") == 0
    assert side.recorded() == []
    assert time.monotonic() - begun < 10  # what waits is not worked off


def test_one_request_larger_than_the_queue_is_asked_alone(tmp_path: Path):
    """Else a shadow would never see the largest requests."""
    side = Side(tmp_path)

    side.add(asked(WAITING_ROWS + 1))
    (found,) = wait_for(side.recorded, seconds=20)
    side.shadowing.close()

    assert len(found.ids) == WAITING_ROWS + 1
    assert side.counted("shadow_dropped_total") == 0


def test_a_ledger_that_cannot_be_written_is_no_fault_of_the_shadow(tmp_path: Path):
    """It is dropped then; a rollout must not end because a disk is full."""
    side = Side(tmp_path)
    (tmp_path / "ledger").write_text("a file where the folder should be")

    side.add(asked())
    wait_for(lambda: side.counted("shadow_dropped_total") == 1, seconds=10)
    side.shadowing.close()

    assert side.challenger.failures == 0


def test_after_the_end_nothing_is_taken_up(tmp_path: Path):
    """The ledger is closed behind it, and must not be opened again."""
    side = Side(tmp_path)
    side.add(asked())
    wait_for(side.recorded, seconds=10)
    side.shadowing.close()

    side.add(asked())
    time.sleep(0.1)

    assert len(side.recorded()) == 1

import re
import time

import msgspec
import numpy as np
import pytest

from components.data.ledger import Ledger, new_ids, read_labels, read_predictions, segment_folder
from components.data.segments import read_frames, segments
from components.errors import LedgerError
from tests.components.data.ledgers import asked, run_python, told


@pytest.fixture
def ledger(tmp_path):
    """An empty ledger."""
    ledger = Ledger(tmp_path)
    yield ledger
    ledger.close()


def _payloads(folder, kind):
    return [payload for path in segments(segment_folder(folder), kind) for payload in read_frames(path)[0]]


def _predictions(folder):
    return [read_predictions(payload) for payload in _payloads(folder, "predictions")]


def test_what_was_recorded_comes_back_equal(ledger, tmp_path):
    """Predictions and labels stand in the files as they were given, missing values and text of all scripts included."""
    batch = asked(2, inputs={"temp": [None, -1e300], "carrier": ["Łódź 🛫", None]})
    labels = told(batch.ids, [0.0, 1.0])

    ledger.record(batch)
    ledger.label(labels)

    assert _predictions(tmp_path) == [batch]
    assert [read_labels(payload) for payload in _payloads(tmp_path, "labels")] == [labels]


def test_arrays_come_back_as_the_lists_they_stand_for(ledger, tmp_path):
    """Numbers kept as the bytes of an array read as the same numbers in a list do, to the last bit, NaN as missing."""
    numbers = np.array([0.1 + 0.2, np.nan, -1e300])
    arrays = asked(
        3,
        ids=[],
        rows=3,
        request_id="r",
        timestamps=np.array([1, 2, 3]),
        inputs={"temp": numbers, "carrier": np.array(["AA", None, "Łódź"], object), "every": np.arange(6.0)[::2]},
        outputs={
            "prediction": np.array([1, 0, 1]),
            "probability": np.array([0.1, 0.2, 0.3], np.float32),
            "probabilities": np.array([[0.25, 0.75]] * 3),
        },
    )

    ledger.record(arrays)

    (kept,) = _predictions(tmp_path)
    assert kept.ids == ["r-0", "r-1", "r-2"]
    assert kept.timestamps == [1, 2, 3]
    assert kept.inputs == {"temp": [0.1 + 0.2, None, -1e300], "carrier": ["AA", None, "Łódź"], "every": [0, 2, 4]}
    assert kept.outputs == {
        "prediction": [1, 0, 1],
        "probability": np.array([0.1, 0.2, 0.3], np.float32).tolist(),
        "probabilities": [[0.25, 0.75]] * 3,
    }


def test_a_segment_of_an_earlier_release_reads(tmp_path):
    """Frames without the fields that came later are read, and the fields have their defaults."""
    old = {name: getattr(asked(1), name) for name in asked(1).__struct_fields__}
    del old["rows"], old["caller_request_id"]

    read = read_predictions(msgspec.msgpack.encode(old))

    assert len(read.ids) == 1
    assert read.caller_request_id is None


def test_an_array_of_another_kind_is_refused(ledger):
    """An array that would not come back as it was is refused with its kind."""
    with pytest.raises(LedgerError, match=r"keeps numbers, texts and None, but something else came: ndarray <M8\[us\]"):
        ledger.record(asked(1, inputs={"temp": np.array(["2026-01-01"], "datetime64[us]")}))


def test_what_was_recorded_survives_a_kill(tmp_path):
    """A process killed right after it recorded has lost nothing."""
    program = """
import os, signal, sys
from pathlib import Path
from components.data.ledger import Ledger
from tests.components.data.ledgers import asked
if os.fork() == 0:
    Ledger(Path(sys.argv[1])).record(asked(3))
    os.kill(os.getpid(), signal.SIGKILL)
os.wait()
"""

    run_python(program, tmp_path)

    assert len(_predictions(tmp_path)[0].ids) == 3


def test_durability_of_disk_keeps_the_same_frames(tmp_path):
    """With `disk` each frame is on the disk before the call returns, and reads the same."""
    ledger, batch = Ledger(tmp_path, durability="disk"), asked(2)

    ledger.record(batch)

    assert _predictions(tmp_path) == [batch]


def test_a_crooked_batch_is_refused(ledger, tmp_path):
    """A list with too few or too many entries is refused by name, before anything is kept."""
    batch = asked(3, inputs={"temp": [1.0, 2.0], "carrier": ["AA"] * 3})

    with pytest.raises(LedgerError, match=r"each of its 3 ids, but inputs.temp has 2; fill missing values with None"):
        ledger.record(batch)

    assert _predictions(tmp_path) == []


def test_crooked_labels_are_refused(ledger):
    """Labels that do not pair with their ids are refused."""
    with pytest.raises(LedgerError, match=r"each of its 2 ids, but labels has 1"):
        ledger.label(told(["a", "b"], [1.0]))


def test_values_that_are_no_plain_values_are_refused(ledger):
    """A value that cannot be kept is refused with what it is."""
    with pytest.raises(LedgerError, match=r"keeps numbers, texts and None, but something else came: .*object"):
        ledger.record(asked(1, inputs={"temp": [object()]}))


def test_ids_are_unique_short_and_sortable():
    """Ids name their row, never repeat, and those of a later second sort behind."""
    many = [name for _ in range(2000) for name in new_ids(3)]
    time.sleep(1.01)
    later = new_ids(1)[0]

    assert len(set(many)) == 6000
    assert re.fullmatch(r"[0-9a-f]{20}-2", many[2])
    assert later > max(many)


def test_the_ledger_is_light_to_import():
    """The service writes the ledger without loading anything that reads tables."""
    program = """
import sys
import components.data.ledger
print(sorted({name.split(".")[0] for name in sys.modules} & {"polars", "deltalake", "pyarrow", "numpy", "sqlalchemy"}))
"""

    assert run_python(program).strip() == "[]"

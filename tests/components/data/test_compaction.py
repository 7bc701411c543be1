import logging
from datetime import timedelta

import polars as pl
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from components.data import compaction
from components.data.compaction import MANY_FILES, Compacted, compact, table_path
from components.data.frames import MAGIC
from components.data.ledger import Ledger, segment_folder
from components.data.segments import segments
from components.data.writers import SegmentWriter
from components.errors import LedgerError, PassingFault
from components.records.rows import Column, Schema
from tests.components.data.ledgers import SCHEMA, START, asked, told


@pytest.fixture
def ledger(tmp_path):
    """An empty ledger."""
    ledger = Ledger(tmp_path)
    yield ledger
    ledger.close()


def _rows(folder, kind="predictions"):
    return pl.read_delta(str(table_path(folder, kind)))


def test_new_frames_become_rows(ledger, tmp_path):
    """A request becomes rows of a table, with the inputs and the outputs as columns of their own."""
    batch = asked(2)
    ledger.record(batch)
    ledger.label(told(batch.ids[:1], [1.0]))

    moved = compact(tmp_path, SCHEMA)

    assert moved == Compacted(predictions=2, labels=1)
    assert _rows(tmp_path).sort("event_time").row(1, named=True) == {
        "prediction_id": batch.ids[1],
        "request_id": batch.request_id,
        "received_at": START,
        "event_time": START + timedelta(hours=1),
        "entity_id": "flight 1",
        "model": "flight-delays",
        "version": 1,
        "variant": "champion",
        "config_sha256": "c" * 64,
        "latency_ms": 1.5,
        "caller_request_id": None,
        "absent": None,
        "in_temp": 1.0,
        "in_carrier": "AA",
        "out_prediction": 1,
        "out_probability": 0.75,
    }
    assert _rows(tmp_path, "labels")["label"].to_list() == [1.0]


def test_nothing_new_changes_nothing(ledger, tmp_path):
    """A compaction without new frames adds no row and no table version; without a ledger it makes nothing."""
    assert compact(tmp_path / "nowhere") == Compacted(0, 0)
    ledger.record(asked(2))
    compact(tmp_path, SCHEMA)
    version = DeltaTable(table_path(tmp_path, "predictions")).version()

    moved = compact(tmp_path, SCHEMA)

    assert moved == Compacted(0, 0)
    assert DeltaTable(table_path(tmp_path, "predictions")).version() == version
    assert not (tmp_path / "nowhere").exists()


def test_a_request_without_rows_is_no_obstacle(ledger, tmp_path):
    """An empty request is passed over once and for all."""
    ledger.record(asked(0))
    first = compact(tmp_path, SCHEMA)
    ledger.record(asked(2))

    second = compact(tmp_path, SCHEMA)

    assert (first.predictions, second.predictions) == (0, 2)


def test_finished_segments_are_deleted(ledger, tmp_path):
    """A segment goes once its writer is gone and its rows are in the table; a live writer's stays."""
    ledger.record(asked(1))
    gone = Ledger(tmp_path)
    gone.record(asked(1))
    gone.close()

    compact(tmp_path, SCHEMA)

    assert len(segments(segment_folder(tmp_path), "predictions")) == 1
    ledger.record(asked(1))
    assert compact(tmp_path, SCHEMA).predictions == 1
    assert _rows(tmp_path).height == 3


def test_columns_without_values_have_the_type_of_the_schema(ledger, tmp_path):
    """Where the first rows have only missing values, the schema says what the column holds."""
    ledger.record(asked(2, inputs={"temp": [None, None], "carrier": [None, None]}))

    compact(tmp_path, SCHEMA)

    found = _rows(tmp_path)
    assert (found.schema["in_temp"], found.schema["in_carrier"]) == (pl.Float64, pl.String)
    assert found["in_temp"].to_list() == [None, None]


def test_without_a_schema_types_are_learned(ledger, tmp_path):
    """Without a schema, a column has the type of its first value, whole numbers are numbers, and empty ones wait."""
    ledger.record(asked(2, inputs={"temp": [1, None], "carrier": [None, None]}))
    compact(tmp_path)
    ledger.record(asked(2, inputs={"temp": [2.5, None], "carrier": ["AA", None]}))

    compact(tmp_path)

    found = _rows(tmp_path).sort("in_temp", nulls_last=True)
    assert found["in_temp"].to_list() == [1.0, 2.5, None, None]
    assert found["in_carrier"].to_list() == [None, "AA", None, None]


def test_a_new_input_column_is_added(ledger, tmp_path):
    """A later model with one more input adds a column; older rows are missing there, older models go on."""
    ledger.record(asked(1))
    compact(tmp_path, SCHEMA)
    wider = Schema((*SCHEMA.features, Column("wind", "number")), "late", "binary", "departure", "flight")
    ledger.record(asked(1, version=2, inputs={"temp": [1.0], "carrier": ["B6"], "wind": [9.5]}))
    ledger.record(asked(1, version=3))

    compact(tmp_path, wider)

    assert _rows(tmp_path).sort("version")["in_wind"].to_list() == [None, 9.5, None]


def test_categories_sent_as_other_values_become_their_text(ledger, tmp_path):
    """A category sent as a truth value or a number is kept as the text that the training table has for it."""
    ledger.record(asked(3, inputs={"temp": [1, 2, 3], "carrier": [True, 7.0, "AA"]}))

    compact(tmp_path, SCHEMA)

    assert sorted(_rows(tmp_path)["in_carrier"]) == ["7", "AA", "true"]


def test_a_value_of_another_kind_is_named(ledger, tmp_path):
    """A text in a column of numbers stops the compaction with the column's name; nothing is moved or lost."""
    ledger.record(asked(1))
    compact(tmp_path, SCHEMA)
    ledger.record(asked(1, inputs={"temp": ["warm"], "carrier": ["AA"]}))

    with pytest.raises(LedgerError, match=r"column in_temp must hold Float64, but a new row holds .*warm.*; give the"):
        compact(tmp_path, SCHEMA)

    assert _rows(tmp_path).height == 1
    assert len(segments(segment_folder(tmp_path), "predictions")) == 1


def test_several_outputs_of_several_classes_are_kept(ledger, tmp_path):
    """A multiclass model's probabilities are a list a row, its labels texts."""
    schema = Schema(SCHEMA.features, "cause", "multiclass", "departure", "flight", ("crew", "weather"))
    batch = asked(1, outputs={"prediction": ["weather"], "probabilities": [[0.25, 0.75]]})
    ledger.record(batch)
    ledger.label(told(batch.ids, ["weather"]))

    compact(tmp_path, schema)

    assert _rows(tmp_path)["out_prediction"].to_list() == ["weather"]
    assert _rows(tmp_path)["out_probabilities"].to_list() == [[0.25, 0.75]]
    assert _rows(tmp_path, "labels")["label"].to_list() == ["weather"]


def test_a_frame_of_something_else_is_named(tmp_path):
    """A whole frame that holds no batch stops the compaction and is not passed over."""
    writer = SegmentWriter(segment_folder(tmp_path), "predictions")
    writer.append(b"\x81\xa1a\x01")

    with pytest.raises(LedgerError, match=r"predictions-.*\.seg: wanted a batch of predictions near byte 0, but found"):
        compact(tmp_path, SCHEMA)


def test_damage_costs_one_request_and_is_loud(ledger, tmp_path, caplog):
    """A damaged frame hides no other; it is logged as an error and its file is kept."""
    for _ in range(3):
        ledger.record(asked(2))
    ledger.close()
    (segment,) = segments(segment_folder(tmp_path), "predictions")
    content = segment.read_bytes()
    middle = content.index(MAGIC, 1) + 40
    segment.write_bytes(content[:middle] + b"\0\0" + content[middle + 2 :])

    moved = compact(tmp_path, SCHEMA)

    assert moved.predictions == 4
    assert any(record.levelno == logging.ERROR and "ledger damaged" in record.message for record in caplog.records)
    assert list(segment_folder(tmp_path).glob("*.damaged"))


def test_a_compaction_that_never_wins_may_be_tried_again(ledger, tmp_path, monkeypatch):
    """One that others were faster than again and again gives up with a fault that is retried; nothing is lost."""
    ledger.record(asked(2))

    def refused(*_args: object) -> None:
        raise CommitFailedError("Concurrent transaction failed")

    with monkeypatch.context() as patch:
        patch.setattr(compaction, "_commit", refused)
        patch.setattr(compaction, "ATTEMPTS", 3)
        with pytest.raises(PassingFault, match=r"other compactions were faster 3 times: Concurrent .*; try again, and"):
            compact(tmp_path, SCHEMA)

    assert compact(tmp_path, SCHEMA).predictions == 2


def test_a_table_that_cannot_be_made_is_said(ledger, tmp_path):
    """Where the table's folder can not be, the error names it, and the predictions wait in their segments."""
    ledger.record(asked(2))
    table_path(tmp_path, "predictions").write_text("in the way")

    with pytest.raises(LedgerError, match=r"wanted .*/predictions, but .*"):
        compact(tmp_path, SCHEMA)

    table_path(tmp_path, "predictions").unlink()
    assert compact(tmp_path, SCHEMA).predictions == 2


def test_many_small_commits_are_merged(ledger, tmp_path):
    """After many small compactions the rows stand in few files, and none is lost or doubled."""
    batches = [asked(1) for _ in range(MANY_FILES + 2)]
    for batch in batches:
        ledger.record(batch)
        compact(tmp_path, SCHEMA)

    files = DeltaTable(table_path(tmp_path, "predictions")).file_uris()

    assert len(files) < 5
    assert sorted(_rows(tmp_path)["prediction_id"]) == sorted(batch.ids[0] for batch in batches)

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from components.data.compaction import compact
from components.data.ledger import Ledger
from components.data.windows import counts, labelled_rows, read_answers, read_window
from components.errors import DataError, LedgerError
from components.records.rows import Column, Schema
from components.records.watching import Window
from tests.components.data.ledgers import SCHEMA, START, asked, told

DAY = Window(START, START + timedelta(days=1))


@pytest.fixture
def ledger(tmp_path):
    """An empty ledger."""
    ledger = Ledger(tmp_path)
    yield ledger
    ledger.close()


def _read(folder, window=DAY, schema=SCHEMA):
    compact(folder, schema)
    return read_window(folder, window, schema=schema)


def test_a_window_holds_raw_rows_answers_and_labels(ledger, tmp_path):
    """A window's rows look as the application sent them, with the answer and the label beside them."""
    batch = asked(2)
    ledger.record(batch)
    ledger.label(told(batch.ids[:1], [1.0]))

    rows = _read(tmp_path)

    assert rows.row(0, named=True) == {
        "temp": 0.0,
        "carrier": "AA",
        "departure": START,
        "flight": "flight 0",
        "prediction": 1,
        "probability": 0.75,
        "label": 1,
        "labelled_at": datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        "is_contradicted": False,
        "version": 1,
        "prediction_id": batch.ids[0],
        "request_id": "asked",
        "received_at": START,
        "latency_ms": 1.5,
    }
    assert rows["label"].to_list() == [1, None]


def test_answers_alone_are_those_of_the_window_without_its_features(ledger, tmp_path):
    """What is asked of many windows at once needs no raw rows."""
    batch = asked(25)
    ledger.record(batch)
    ledger.label(told(batch.ids[:3], [1.0, 0.0, 1.0]))
    whole = _read(tmp_path)

    answers = read_answers(tmp_path, DAY, schema=SCHEMA)

    assert answers.equals(whole.drop("temp", "carrier", "flight"))


def test_a_window_begins_with_its_start_and_stops_before_its_end(ledger, tmp_path):
    """Event time decides, not the time of the request; neighbouring windows share no row."""
    ledger.record(asked(25, received_at=0))

    first = _read(tmp_path)
    second = _read(tmp_path, Window(DAY.end, DAY.end + timedelta(days=1)))

    assert first["departure"].to_list() == [START + timedelta(hours=hour) for hour in range(24)]
    assert second["departure"].to_list() == [DAY.end]


def test_an_empty_ledger_gives_no_rows_of_the_same_columns(ledger, tmp_path):
    """Where nothing was predicted the columns and their types are the same as where something was."""
    nothing = read_window(tmp_path / "nowhere", DAY, schema=SCHEMA)
    ledger.record(asked(1))

    rows = _read(tmp_path)

    assert nothing.is_empty()
    assert nothing.schema == rows.schema
    assert counts(tmp_path / "nowhere")["predictions"] == 0


def test_other_variants_are_left_out(ledger, tmp_path):
    """Only what the champion answered counts; a shadow's answers to the same rows do not."""
    ledger.record(asked(2))
    ledger.record(asked(2, variant="shadow", version=2))

    assert _read(tmp_path)["version"].to_list() == [1, 1]


def test_a_shadow_counts_as_no_traffic_and_teaches_nothing(ledger, tmp_path):
    """Its rows have the ids of the champion's, and their labels: each prediction is counted, and learned from, once."""
    champion, canary = asked(2), asked(1, variant="canary", version=2)
    ledger.record(champion)
    ledger.record(asked(2, ids=champion.ids, variant="shadow", version=2, inputs={}))
    ledger.record(canary)
    ledger.label(told([*champion.ids, *canary.ids], [1.0, 0.0, 1.0]))

    rows = _read(tmp_path)
    until = START + timedelta(days=1)
    learned = labelled_rows(tmp_path, SCHEMA, until=until, target="late", out=tmp_path / "learned.parquet")

    assert sorted(rows["prediction_id"]) == champion.ids
    assert rows["label"].to_list() == [1, 0]
    assert learned is not None
    assert sorted(pl.read_parquet(learned)["late"]) == [0, 1, 1]  # what a canary answered is as true as any
    found = counts(tmp_path)
    assert (found["predictions"], found["shadows"], found["joined"], found["duplicates"]) == (3, 2, 3, 0)


def test_missing_values_have_one_spelling(ledger, tmp_path):
    """None, NaN and the empty text all read as null, as they do in the training table."""
    ledger.record(asked(2, inputs={"temp": [float("nan"), None], "carrier": ["", None]}))

    rows = _read(tmp_path)

    assert rows["temp"].null_count() == 2
    assert rows["carrier"].null_count() == 2


def test_a_feature_that_was_never_sent_is_null(ledger, tmp_path):
    """A column that a newer schema has, and no row yet, reads as missing."""
    ledger.record(asked(1))
    compact(tmp_path, SCHEMA)
    wider = Schema((*SCHEMA.features, Column("wind", "number")), "late", "binary", "departure")

    rows = read_window(tmp_path, DAY, schema=wider)

    assert rows["wind"].to_list() == [None]
    assert rows.schema["wind"] == pl.Float64
    assert "flight" not in rows.columns


def test_the_newest_label_wins(ledger, tmp_path):
    """A correction replaces the label that came before it, in whatever order they are moved; repeats are nothing."""
    batch = asked(3)
    ledger.record(batch)
    ledger.label(told(batch.ids, [1.0, 1.0, 1.0], received_at=20))
    compact(tmp_path, SCHEMA)
    ledger.label(told(batch.ids[:1], [0.0], received_at=10))  # older, though it is compacted later
    ledger.label(told(batch.ids[1:2], [0.0], received_at=30))
    ledger.label(told(batch.ids[2:], [1.0], received_at=30))

    rows = _read(tmp_path)

    assert rows["label"].to_list() == [1, 0, 1]
    assert counts(tmp_path) | {"damaged_segments": 0} == {
        "predictions": 3,
        "shadows": 0,
        "labels": 6,
        "joined": 3,
        "orphan_labels": 0,
        "duplicates": 0,
        "damaged_segments": 0,
    }


def test_labels_that_contradict_each_other_are_told_and_the_first_of_them_says_when(ledger, tmp_path):
    """A repeat is no contradiction, nor is a label that was taken back and came again."""
    batch = asked(4)
    ledger.record(batch)
    ledger.label(told(batch.ids[:3], [1.0, 1.0, 1.0], received_at=2_000_000))
    ledger.label(told(batch.ids[:2], [0.0, 1.0], received_at=3_000_000))
    ledger.label(told(batch.ids[2:3], [None], received_at=4_000_000))
    ledger.label(told(batch.ids[2:3], [1.0], received_at=5_000_000))

    rows = _read(tmp_path)

    first = datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC)
    assert rows["label"].to_list() == [0, 1, 1, None]
    assert rows["is_contradicted"].to_list() == [True, False, False, False]
    assert rows["labelled_at"].to_list() == [first, first, first, None]


def test_classes_contradict_each_other_by_name(ledger, tmp_path):
    """Labels of a multiclass target are texts."""
    schema = Schema(SCHEMA.features, "cause", "multiclass", "departure", "flight", ("crew", "weather"))
    batch = asked(2, outputs={"prediction": ["weather"] * 2, "probabilities": [[0.25, 0.75]] * 2})
    ledger.record(batch)
    ledger.label(told(batch.ids, ["weather", "crew"], received_at=1))
    ledger.label(told(batch.ids, ["crew", "crew"], received_at=2))

    rows = _read(tmp_path, schema=schema)

    assert rows["label"].to_list() == ["crew", "crew"]
    assert rows["is_contradicted"].to_list() == [True, False]


def test_of_labels_at_one_moment_the_later_wins(ledger, tmp_path):
    """Labels of the same microsecond count in the order they were written, also within one request."""
    batch = asked(2)
    ledger.record(batch)
    ledger.label(told([batch.ids[0], batch.ids[0]], [1.0, 0.0]))
    ledger.label(told(batch.ids[1:], [0.0]))
    ledger.label(told(batch.ids[1:], [1.0]))

    assert _read(tmp_path)["label"].to_list() == [0, 1]


def test_a_label_may_come_before_its_prediction(ledger, tmp_path):
    """A label whose prediction is not in the table yet is counted as an orphan, and finds it later."""
    batch = asked(1)
    ledger.label(told([batch.ids[0], "unknown"], [1.0, 1.0]))
    compact(tmp_path, SCHEMA)
    before = counts(tmp_path)
    ledger.record(batch)

    rows = _read(tmp_path)

    assert (before["joined"], before["orphan_labels"]) == (0, 2)
    assert rows["label"].to_list() == [1]
    assert (counts(tmp_path)["joined"], counts(tmp_path)["orphan_labels"]) == (1, 1)


def test_a_label_can_be_taken_back(ledger, tmp_path):
    """A later label of None makes the row unlabelled again."""
    batch = asked(1)
    ledger.record(batch)
    ledger.label(told(batch.ids, [1.0], received_at=1))
    ledger.label(told(batch.ids, [None], received_at=2))

    assert _read(tmp_path)["label"].to_list() == [None]
    assert counts(tmp_path)["joined"] == 0


def test_several_classes_read_with_their_probabilities(ledger, tmp_path):
    """A multiclass window has the index of the class, a list of probabilities a row, and labels by name."""
    schema = Schema(SCHEMA.features, "cause", "multiclass", "departure", "flight", ("crew", "weather"))
    batch = asked(1, outputs={"prediction": ["weather"], "probabilities": [[0.25, 0.75]]})
    ledger.record(batch)
    ledger.label(told(batch.ids, ["weather"]))

    row = _read(tmp_path, schema=schema).row(0, named=True)

    assert (row["prediction"], row["probabilities"], row["label"]) == (1, [0.25, 0.75], "weather")


def test_a_regression_reads_as_numbers(ledger, tmp_path):
    """A regression's predictions and labels keep their fractions; it has no probability."""
    schema = Schema(SCHEMA.features, "delay", "regression", "departure", "flight")
    batch = asked(1, outputs={"prediction": [12.5]})
    ledger.record(batch)
    ledger.label(told(batch.ids, [10.25]))

    row = _read(tmp_path, schema=schema).row(0, named=True)

    assert (row["prediction"], row["probability"], row["label"]) == (12.5, None, 10.25)


def test_labelled_rows_look_like_the_training_table(ledger, tmp_path):
    """What a retraining adds has the raw columns, the timestamp, the id and the target, and only labelled rows."""
    batch = asked(4)
    ledger.record(batch)
    ledger.label(told(batch.ids[:3], [1.0, 0.0, 1.0]))
    compact(tmp_path, SCHEMA)
    out = tmp_path / "work" / "live.parquet"

    since, until = START + timedelta(hours=1), START + timedelta(hours=2)
    path = labelled_rows(tmp_path, SCHEMA, since=since, until=until, target="late", out=out)

    assert path == out
    found = pl.read_parquet(out)
    assert found.rows() == [(1.0, "AA", START + timedelta(hours=1), "flight 1", 0)]
    assert found.schema == {
        "temp": pl.Float64,
        "carrier": pl.String,
        "departure": pl.Datetime("us", "UTC"),
        "flight": pl.String,
        "late": pl.Int64,
    }
    assert [file.name for file in out.parent.iterdir()] == ["live.parquet"]


def test_without_labels_there_is_no_file(ledger, tmp_path):
    """Where nothing is labelled no file is written."""
    ledger.record(asked(2))
    compact(tmp_path, SCHEMA)

    path = labelled_rows(tmp_path, SCHEMA, until=DAY.end, target="late", out=tmp_path / "live.parquet")

    assert path is None
    assert not (tmp_path / "live.parquet").exists()


def test_naive_times_are_refused(tmp_path):
    """A window without a zone is refused, with what to do."""
    naive = datetime(2026, 3, 1)  # noqa: DTZ001 - that it is naive is the point

    with pytest.raises(DataError, match=r"times are UTC, but 2026-03-01 00:00:00 has no zone; give it one"):
        read_window(tmp_path, Window(naive, naive), schema=SCHEMA)


def test_a_column_of_another_kind_teaches_nothing_and_is_watched_as_missing(ledger, tmp_path):
    """Where the ledger holds texts and the schema wants numbers: a monitor goes on and says so, a training does not."""
    batch = asked(2, inputs={"temp": [1.0, 2.0], "carrier": ["AA", "7"]})
    ledger.record(batch)
    ledger.label(told(batch.ids, [1.0, 0.0]))
    compact(tmp_path, SCHEMA)
    other = Schema((Column("carrier", "number"),), "late", "binary", "departure")

    watched = read_window(tmp_path, DAY, schema=other)
    with pytest.raises(LedgerError, match=r"must hold what the model's schema says, but reading it failed"):
        labelled_rows(tmp_path, other, until=DAY.end, target="late", out=tmp_path / "learned.parquet")

    assert watched["carrier"].to_list() == [None, 7.0]

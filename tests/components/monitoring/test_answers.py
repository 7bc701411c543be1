"""What a window's answers and labels say of it, whatever stands in the window."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from components.monitoring.answers import answer_facts
from components.records.models import ModelFiles, ModelVersion
from components.records.rows import Column, Schema, TargetKind
from components.records.watching import Window, WindowFacts
from components.settings.project import Project
from tests.components.monitoring.made import answered, files_of, rows

WINDOW = Window(datetime(2013, 6, 1, tzinfo=UTC), datetime(2013, 6, 15, tzinfo=UTC))
CLASSES = ("early", "late", "never")
NOTHING = WindowFacts(WINDOW, 4, 0, 0)


def schema_of(kind: TargetKind) -> Schema:
    """One feature and a target of that kind."""
    classes = CLASSES if kind == "multiclass" else ()
    return Schema((Column("temp", "number"),), "late", kind, "at", classes=classes)


def project(metric: str = "roc_auc", *, kind: TargetKind = "binary", least: int = 500, hour: float = 0.0) -> Project:
    """The defaults, unless said otherwise."""
    source = {"class_path": "components.data.sources.Csv"}
    return Project.model_validate(
        {
            "name": "flights",
            "data": {"source": source, "target": {"column": "late", "kind": kind}, "timestamp": "at"},
            "evaluation": {"metric": metric},
            "monitoring": {"trigger": {"min_labelled_rows": least}},
            "cost": {"serve_hour": hour},
            "file": "flights.yaml",
            "sha256": "0" * 64,
        }
    )


def window(rows: int, kind: TargetKind = "binary", **changes: Any) -> pl.DataFrame:
    """A window as the ledger gives it: requests of two rows, every row labelled two hours after it was answered."""
    rng = np.random.default_rng(1)
    chance, asked = rng.beta(1, 3, rows), WINDOW.start + timedelta(hours=1)
    frame = pl.DataFrame(
        {
            "prediction": (chance > 0.5).astype(int),
            "probability": chance,
            "label": (rng.random(rows) < chance).astype(int),
            "request_id": [f"r{row // 2}" for row in range(rows)],
            "latency_ms": [float(row // 2) for row in range(rows)],
        },
        schema_overrides={"label": pl.Int64},
    ).with_columns(received_at=pl.lit(asked), labelled_at=pl.lit(asked + timedelta(hours=2)), is_contradicted=False)
    if kind == "multiclass":
        chances = rng.dirichlet((2, 1, 1), rows)
        names = [CLASSES[code] for code in chances.argmax(axis=1)]
        frame = frame.with_columns(
            prediction=pl.Series(chances.argmax(axis=1)),
            probability=None,
            probabilities=pl.Series(chances.tolist(), dtype=pl.List(pl.Float64)),
            label=pl.Series(names, dtype=pl.String),
        )
    return frame.with_columns(**changes)


def facts(frame: pl.DataFrame, settings: Project | None = None, kind: TargetKind = "binary", **metrics: float) -> Any:
    """What the answers add to the facts of an empty window."""
    version = ModelVersion("flights", 4, "run", "0" * 64)
    files = ModelFiles(version, Path("model.onnx"), schema_of(kind), Path("reference"), metrics, "0" * 64)
    return answer_facts(NOTHING, frame, files, settings or project())


def test_a_labelled_window_has_its_quality_its_labels_and_its_latency():
    """Everything that the answers tell, in one look."""
    found = facts(window(2_000), project(hour=3.6), training_cost=1.25)

    assert found.quality_low < found.quality < found.quality_high
    assert found.quality_high - found.quality_low < 0.08
    assert found.expected_low < found.expected_quality < found.expected_high
    # The labels were drawn from the probabilities; an area over 2,000 rows has a standard error of 0.011.
    assert found.expected_quality == pytest.approx(found.quality, abs=0.033)
    assert found.calibration_error < 0.05
    assert (found.label_coverage, found.label_delay_hours, found.label_conflicts) == (1.0, 2.0, 0)
    assert (found.p50_ms, found.p99_ms) == (500, 990)
    # 1,000 requests of 0 to 999 ms take 499.5 s, at 3.6 an hour.
    assert found.serving_cost == pytest.approx(0.4995)
    assert found.training_cost == 1.25


def test_a_window_without_rows_says_nothing_of_answers():
    """Only what the version cost is known without traffic."""
    empty = window(0)

    assert facts(empty) == NOTHING
    assert facts(empty, training_cost=1.25) == replace(NOTHING, training_cost=1.25)


def test_six_rows_have_latencies_and_labels_and_no_quality():
    """Below the fewest labels nothing is said of it, and six rows let expect no ranking."""
    found = facts(window(6))

    assert (found.quality, found.quality_low, found.quality_high, found.calibration_error) == (None,) * 4
    assert (found.expected_quality, found.expected_low, found.expected_high) == (None,) * 3
    assert (found.label_coverage, found.p50_ms, found.p99_ms) == (1.0, 1, 2)


def test_without_labels_the_quality_is_expected_and_the_delay_unknown():
    """Nothing has come yet."""
    found = facts(window(2_000, label=None, labelled_at=None))

    assert (found.quality, found.calibration_error, found.label_delay_hours) == (None, None, None)
    assert found.label_coverage == 0
    assert found.expected_quality == facts(window(2_000)).expected_quality


def test_what_is_expected_stands_beside_the_registration_by_what_the_training_rows_let_expect(tmp_path: Path):
    """A version that is too modest about itself has lost nothing before anything happened; harder rows are a loss."""
    files = files_of(tmp_path)
    registered = replace(NOTHING, reference_quality=files.metrics["roc_auc"])
    usual, harder = answered(rows(2_000)), answered(rows(2_000).with_columns(temp=pl.col("temp") / 10 + 9))

    same = answer_facts(registered, usual, files, project())
    worse = answer_facts(registered, harder, files, project())
    alone = answer_facts(NOTHING, usual, files, project())

    assert same.expected_low < 0.7 < same.expected_high  # as registered, though the probabilities let expect more
    assert alone.expected_low > 0.9
    assert worse.expected_high < 0.6


def test_labels_of_one_class_leave_the_area_open_and_tell_the_calibration():
    """No row of class 1 ranks above one of class 0 where there is none; an answer of 0.25 was too high all the same."""
    found = facts(window(2_000, label=0))

    assert (found.quality, found.quality_low, found.quality_high) == (None, None, None)
    assert found.calibration_error == pytest.approx(window(2_000)["probability"].mean())


def test_a_quality_without_an_interval_is_none():
    """Eight rows of class 1 in 2,000 rank by luck, and a policy would believe them."""
    eight = (pl.int_range(pl.len()) < 8).cast(pl.Int64)

    found = facts(window(2_000, label=eight))

    assert (found.quality, found.quality_low, found.quality_high) == (None, None, None)
    assert found.calibration_error is not None


def test_labels_that_contradict_each_other_are_counted():
    """The newest stands in the frame already."""
    every_tenth = pl.int_range(pl.len()) % 10 == 0

    assert facts(window(2_000, is_contradicted=every_tenth)).label_conflicts == 200


def test_labels_that_the_target_cannot_have_leave_the_quality_open():
    """A class that the version does not know is no label of 0 or 1."""
    odd = window(2_000, label=pl.when(pl.int_range(pl.len()) == 7).then(7).otherwise("label"))

    found = facts(odd)

    assert (found.quality, found.quality_low, found.calibration_error) == (None, None, None)
    assert found.expected_quality is not None


def test_broken_probabilities_leave_quality_and_expectation_open():
    """One answer that is no number says that something is wrong with the version; the labels came all the same."""
    found = facts(window(2_000, probability=pl.when(pl.int_range(pl.len()) == 7).then(None).otherwise("probability")))

    assert (found.quality, found.quality_low, found.expected_quality, found.calibration_error) == (None,) * 4
    assert found.label_coverage == 1


def test_a_label_from_before_its_prediction_came_at_once():
    """The median of one such label and two of two hours is two hours, and never less than nothing."""
    early = pl.col("received_at") - timedelta(days=3)
    first = pl.when(pl.int_range(pl.len()) == 0).then(early).otherwise("labelled_at")

    assert facts(window(3, labelled_at=first)).label_delay_hours == 2
    assert facts(window(3, labelled_at=early)).label_delay_hours == 0


def test_a_multiclass_window_with_two_of_three_classes_is_measured():
    """The third was neither answered nor true: it counts nowhere."""
    frame = window(2_000, "multiclass").filter(pl.col("label") != "never")

    accuracy = facts(frame, project("accuracy", kind="multiclass"), "multiclass")
    f1 = facts(frame, project("macro_f1", kind="multiclass"), "multiclass")

    assert (accuracy.quality, f1.quality) == (1.0, 1.0)  # each was labelled with the class answered
    assert 0 < accuracy.expected_low < accuracy.expected_high < 1
    assert f1.expected_quality is not None
    assert accuracy.calibration_error > 0.3


def test_a_regression_has_a_quality_and_nothing_that_needs_probabilities():
    """Nor can its quality be expected."""
    frame = window(2_000, label=pl.col("probability") + 1, prediction="probability", probability=None)

    found = facts(frame, project("rmse", kind="regression"), "regression")

    assert found.quality == pytest.approx(1)
    assert (found.calibration_error, found.expected_quality) == (None, None)


def test_rows_from_elsewhere_have_no_latency_and_no_delay():
    """A replay over a raw table knows answers and labels only."""
    frame = window(2_000).select("prediction", "probability", "label")

    found = facts(frame)

    assert found.quality is not None
    assert (found.p50_ms, found.p99_ms, found.serving_cost, found.label_delay_hours) == (None,) * 4
    assert (found.label_coverage, found.label_conflicts) == (1.0, 0)

"""The quality of a window is what scoring would say of the same rows, or nothing."""

import numpy as np
import polars as pl
import pytest

from components.errors import ProjectFileError
from components.evaluation import metrics as scoring
from components.monitoring.quality import METRICS, loss_of, quality_of
from components.records.rows import Column, Schema, TargetKind

ROWS = 400


def schema_of(kind: TargetKind) -> Schema:
    """One feature and a target of that kind."""
    classes = ("cat", "dog", "newt") if kind == "multiclass" else ()
    return Schema((Column("x", "number"),), "y", kind, "at", classes=classes)


def labelled_rows(kind: TargetKind, seed: int) -> pl.DataFrame:
    """Rows whose answers are right more often than not, with ties among the probabilities."""
    rng = np.random.default_rng(seed)
    if kind == "regression":
        value = rng.normal(10, 3, ROWS)
        return pl.DataFrame({"label": value, "prediction": value + rng.normal(0, 1, ROWS)})
    if kind == "binary":
        truth = rng.integers(0, 2, ROWS)
        # Ties, but none on the edge of a confidence bin, where float32 and float64 fall to different sides.
        chance = 0.003 + 0.99 * np.round(np.clip(0.5 + 0.2 * (truth - 0.5) + rng.normal(0, 0.2, ROWS), 0, 1), 2)
        return pl.DataFrame({"label": truth, "prediction": (chance > 0.5).astype(int), "probability": chance})
    truth = rng.integers(0, 3, ROWS)
    chances = rng.dirichlet((1, 1, 1), ROWS) + np.eye(3)[truth]
    chances /= chances.sum(axis=1, keepdims=True)
    names = [schema_of(kind).classes[code] for code in truth]
    return pl.DataFrame({"label": names, "prediction": chances.argmax(axis=1), "probabilities": chances.tolist()})


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("kind", "name"), [(kind, m.name) for m in scoring.METRICS.values() for kind in m.kinds])
def test_a_window_is_measured_as_a_version_is_scored(kind: TargetKind, name: str, seed: int):
    """The number a window is judged by and the one at registration are of the same definition."""
    rows = labelled_rows(kind, seed)
    schema = schema_of(kind)
    truth = (
        rows["label"].replace_strict({n: i for i, n in enumerate(schema.classes)}) if schema.classes else rows["label"]
    )
    chances = {"binary": "probability", "multiclass": "probabilities"}.get(kind)

    measured = quality_of(rows, schema, name)

    probability = None if chances is None else np.array(rows[chances].to_list())
    scored = scoring.measure(name, truth.to_numpy(), rows["prediction"].to_numpy(), probability)
    # torchmetrics bins confidences in float32.
    assert measured == pytest.approx(scored, abs=1e-6)


def test_both_rooms_know_the_same_metrics_and_directions():
    """A metric of the project file is known when it is scored and when it is watched."""
    here = {name: metric.lower_is_better for name, metric in METRICS.items()}

    there = {name: metric.lower_is_better for name, metric in scoring.METRICS.items()}

    assert here == there


def test_an_unknown_metric_is_refused_with_the_nearest_name():
    """A slip in the project file is named."""
    with pytest.raises(ProjectFileError, match=r"but it is 'auc_roc'; did you mean 'roc_auc'\?"):
        quality_of(labelled_rows("binary", 1), schema_of("binary"), "auc_roc")


@pytest.mark.parametrize(
    "rows",
    [
        {"label": [], "prediction": [], "probability": []},
        {"label": [1, 1], "prediction": [1, 0], "probability": [0.9, 0.2]},
        {"label": [0, 7], "prediction": [1, 0], "probability": [0.9, 0.2]},
        {"label": [0.0, 0.5], "prediction": [1, 0], "probability": [0.9, 0.2]},
        {"label": [0, 1], "prediction": [1, 0], "probability": [0.9, None]},
        {"label": [0, 1], "prediction": [1, 0], "probability": [0.9, float("nan")]},
    ],
    ids=["no rows", "one class", "no such class", "half a class", "no answer", "broken answer"],
)
def test_what_cannot_be_measured_is_no_number(rows: dict[str, list[float]]):
    """A broken window never looks good, and never bad either."""
    frame = pl.DataFrame(rows, schema={"label": pl.Float64, "prediction": pl.Int64, "probability": pl.Float64})

    assert quality_of(frame, schema_of("binary"), "roc_auc") is None


def test_a_class_that_the_version_does_not_know_leaves_no_quality():
    """Its classes are those it was trained with."""
    rows = pl.DataFrame({"label": ["cat", "yak"], "prediction": [0, 1], "probabilities": [[1, 0, 0], [0, 1, 0]]})

    assert quality_of(rows, schema_of("multiclass"), "accuracy") is None


def test_loss_is_positive_where_it_got_worse_whatever_the_direction():
    """0.6 instead of 0.7 of the area is worse, and 0.7 instead of 0.6 nats as well."""
    assert loss_of("roc_auc", 0.6, 0.7) == pytest.approx(0.1)
    assert loss_of("log_loss", 0.7, 0.6) == pytest.approx(0.1)


def test_a_metric_of_probabilities_wants_some():
    """A target of several classes whose probabilities were not kept has an accuracy and no log loss."""
    rows = labelled_rows("multiclass", 1).drop("probabilities")

    assert quality_of(rows, schema_of("multiclass"), "accuracy") is not None
    assert quality_of(rows, schema_of("multiclass"), "log_loss") is None
    assert quality_of(labelled_rows("regression", 1), schema_of("regression"), "roc_auc") is None


def test_probabilities_of_another_versions_classes_leave_no_quality():
    """Two versions answered the window, and one of them knew two classes only."""
    rows = pl.DataFrame({"label": ["cat", "dog"], "prediction": [0, 1], "probabilities": [[1.0, 0.0, 0.0], [0.0, 1.0]]})

    assert quality_of(rows, schema_of("multiclass"), "accuracy") is None

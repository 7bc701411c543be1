"""What a metric should be, told without labels, is what it turns out to be: as long as the probabilities are right."""

import importlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.isotonic import IsotonicRegression
from sklearn.preprocessing import OrdinalEncoder

from components.errors import ProjectFileError
from components.monitoring.expected import Expected, anchored, expected_quality
from components.monitoring.quality import Answered, answered, outputs_of
from components.records.rows import Column, Schema
from components.settings.reading import load_project

PROJECT_FILE = Path(__file__).parents[3] / "deploy/projects/flight-delays.yaml"
BINARY = Schema((Column("x", "number"),), "y", "binary", "at")
SEVERAL = Schema((Column("x", "number"),), "y", "multiclass", "at", classes=("cat", "dog", "newt"))
NUMBERS = ["sched_dep_minute", "sched_arr_minute", "distance", "weekday", "temp", "humid", "wind_speed", "visib"]
WINDOW_ROWS = 4_000


def answers(count: int, seed: int = 1) -> pl.DataFrame:
    """Probabilities of class 1, most of them small, with ties."""
    chance = np.clip(np.round(np.random.default_rng(seed).beta(1, 3, count), 3), 0.001, 0.999)
    return pl.DataFrame({"prediction": (chance > 0.5).astype(int), "probability": chance})


def class_answers(count: int) -> pl.DataFrame:
    """Probabilities of three classes, one of them rare."""
    chances = np.random.default_rng(2).dirichlet((2, 1, 0.3), count)
    return pl.DataFrame({"prediction": chances.argmax(axis=1), "probabilities": chances.tolist()})


def come_true(frame: pl.DataFrame, schema: Schema, name: str, *, drawn_anew: bool = False) -> npt.NDArray[np.float64]:
    """The metric on 400 sets of labels, each as probable as the answers say; of the same rows or of samples of them."""
    outputs, rng, values = outputs_of(frame, schema), np.random.default_rng(5), []
    assert outputs is not None
    assert outputs.probability is not None
    chances = outputs.probability
    below = 1 - chances[:, None] if chances.ndim == 1 else chances.cumsum(axis=1)[:, :-1]
    for _ in range(400):
        rows = rng.integers(frame.height, size=frame.height) if drawn_anew else np.arange(frame.height)
        truth = (rng.random(frame.height)[:, None] >= below[rows]).sum(axis=1)
        values.append(Answered(truth.astype(float), outputs.at(rows)).value(name))
    return np.array(values, dtype=np.float64)


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        *((BINARY, name) for name in ("roc_auc", "average_precision", "log_loss", "brier", "accuracy", "macro_f1")),
        *((SEVERAL, name) for name in ("accuracy", "log_loss", "macro_f1")),
    ],
    ids=lambda value: value if isinstance(value, str) else value.target_kind,
)
def test_what_is_expected_is_the_mean_of_what_comes_true(schema: Schema, name: str):
    """With labels drawn as often as the answers say, and the interval holds 95 of 100 samples of the rows."""
    frame = answers(1_000) if schema is BINARY else class_answers(1_000)

    expected = expected_quality(frame, schema, name)

    assert expected is not None
    values = come_true(frame, schema, name)
    # Four times the error of the mean of 400 draws; a share of two expectations is off by less than one row in 1,000.
    assert expected.value == pytest.approx(values.mean(), abs=4 * values.std() / 20 + 1e-3)
    inside = np.mean(
        [expected.low <= value <= expected.high for value in come_true(frame, schema, name, drawn_anew=True)]
    )
    assert 0.92 <= inside <= 0.98


@pytest.fixture(scope="module")
def flights() -> pl.DataFrame:
    """Flights of 2013 in an order without time, answered by a model whose probabilities are calibrated; see `windows`.

    A third of them taught the trees, a third the calibration, and a third is answered: between them nothing drifted.
    """
    load_project(PROJECT_FILE)  # the source stands beside the project file
    frame = importlib.import_module("flight_delays").NycFlights(last="2013-06-30").frame()
    frame = frame.filter(pl.col("late").is_not_null()).sample(120_000, shuffle=True, seed=4)
    taught, calibrated, asked = (frame[first : first + 40_000] for first in (0, 40_000, 80_000))
    features = [*NUMBERS, "carrier", "origin"]
    model = HistGradientBoostingClassifier(max_iter=60, categorical_features=[0, 1], random_state=0)
    encoder = make_column_transformer((OrdinalEncoder(), ["carrier", "origin"]), remainder="passthrough")
    model.fit(encoder.fit_transform(taught.select(features).to_pandas()), taught["late"].to_numpy())

    def said(rows: pl.DataFrame) -> npt.NDArray[np.float64]:
        return np.asarray(model.predict_proba(encoder.transform(rows.select(features).to_pandas()))[:, 1])

    curve = IsotonicRegression(out_of_bounds="clip", y_min=0.001, y_max=0.999)
    curve.fit(said(calibrated), calibrated["late"].to_numpy())
    chance = curve.predict(said(asked))
    return asked.select(
        label="late", prediction=(pl.Series(chance) > 0.5).cast(pl.Int64), probability=pl.Series(chance)
    )


def windows(flights: pl.DataFrame) -> list[pl.DataFrame]:
    """Ten windows of 4,000 flights."""
    return [flights[first : first + WINDOW_ROWS] for first in range(0, flights.height, WINDOW_ROWS)]


def true_quality(window: pl.DataFrame, name: str) -> float:
    """The metric on the labels."""
    rows = answered(window, BINARY)
    assert rows is not None
    value = rows.value(name)
    assert value is not None
    return value


@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "log_loss", "brier", "accuracy"])
def test_without_drift_the_true_quality_of_flights_lies_in_the_expected_interval(flights: pl.DataFrame, name: str):
    """Before a label has come, of 2013's flights in ten windows."""
    expected = [expected_quality(window.drop("label"), BINARY, name) for window in windows(flights)]

    truth = [true_quality(window, name) for window in windows(flights)]
    assert len(truth) == 10
    # Nine and a half of ten are expected; the calibration's own error takes some more.
    inside = sum(
        found is not None and found.low <= true <= found.high for found, true in zip(expected, truth, strict=True)
    )
    assert inside >= 8


def test_flights_that_are_harder_to_tell_are_expected_to_be_answered_worse(flights: pl.DataFrame):
    """Input drift without a change of meaning is what it is for: only flights of middling risk are asked about."""
    harder = flights.filter(pl.col("probability").is_between(0.1, 0.35))

    usual, found = (expected_quality(rows, BINARY, "roc_auc") for rows in (flights, harder))

    assert usual is not None
    assert found is not None
    assert found.high < usual.low - 0.03
    assert found.low <= true_quality(harder, "roc_auc") <= found.high


def test_flipped_labels_are_not_seen(flights: pl.DataFrame):
    """The known limit: the inputs say the same, so the expectation does, though the truth has turned round."""
    flipped = flights.with_columns(label=1 - pl.col("label"))

    before, after = (expected_quality(rows, BINARY, "roc_auc") for rows in (flights, flipped))

    assert after == before
    assert after is not None
    assert true_quality(flipped, "roc_auc") < 0.5 < after.low


def test_an_expectation_is_moved_by_what_the_version_is_wrong_about_everywhere():
    """It stays within what the metric can be."""
    usual, window = Expected(0.6, 0.55, 0.65), Expected(0.5, 0.45, 0.8)

    found = anchored(window, usual, 0.9, "roc_auc")

    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.75, 1.0))


@pytest.mark.parametrize(
    "chances",
    [[], [0.9, None], [0.9, float("nan")], [0.9, 1.2], [0.9, -0.1]],
    ids=["no rows", "no answer", "broken answer", "above 1", "below 0"],
)
def test_answers_that_are_no_probabilities_let_expect_nothing(chances: list[float | None]):
    """A broken window is never expected to be good."""
    chance = pl.Series(chances, dtype=pl.Float64)
    frame = pl.DataFrame({"prediction": (chance > 0.5).cast(pl.Int64).fill_null(0), "probability": chance})

    assert expected_quality(frame, BINARY, "accuracy") is None


def test_six_rows_say_something_of_their_accuracy_and_nothing_of_their_ranking():
    """The interval of the one is wide; of the other there is none."""
    six = answers(6)

    found = expected_quality(six, BINARY, "accuracy")

    assert expected_quality(six, BINARY, "roc_auc") is None
    assert found is not None
    assert found.high - found.low > 0.3


def test_what_cannot_be_expected_is_none():
    """A value without a probability, a metric of one class's probability, and how calibrated the calibration is."""
    regression = Schema((Column("x", "number"),), "y", "regression", "at")
    values = pl.DataFrame({"prediction": [1.5, 2.5], "probability": [None, None]})

    assert expected_quality(values, regression, "rmse") is None
    assert expected_quality(class_answers(500), SEVERAL, "roc_auc") is None
    assert expected_quality(class_answers(500).drop("probabilities"), SEVERAL, "accuracy") is None
    assert expected_quality(answers(500), BINARY, "calibration_error") is None


def test_answers_of_other_classes_let_expect_nothing():
    """Part of the window was answered by a version that knew two classes only."""
    frame = pl.DataFrame({"prediction": [0, 1], "probabilities": [[0.5, 0.3, 0.2], [0.4, 0.6]]})

    assert expected_quality(frame, SEVERAL, "accuracy") is None


def test_an_unknown_metric_is_refused_with_the_nearest_name():
    """A slip in the project file is named."""
    with pytest.raises(ProjectFileError, match=r"but it is 'auc_roc'; did you mean 'roc_auc'\?"):
        expected_quality(answers(10), BINARY, "auc_roc")

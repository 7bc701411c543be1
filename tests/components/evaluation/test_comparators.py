"""The simple models: what they answer, and what they do with rows that are not as they were in training."""

from datetime import UTC, datetime

import numpy as np
import polars
import pytest
from sklearn.linear_model import LogisticRegression

from components.errors import NotEnoughRows, ProjectFileError, SchemaMismatch
from components.evaluation.comparators import FITS, MOST_ROWS, fit_comparator
from components.evaluation.metrics import measure_all
from components.records.rows import Column, Part, Schema

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FEATURES = (Column("temp", "number"), Column("wind", "number"), Column("origin", "category"))
BINARY = Schema(FEATURES, "late", "binary", "ts")
CLASSES = Schema(FEATURES, "weather", "multiclass", "ts", classes=("dry", "rain", "snow"))
VALUE = Schema(FEATURES, "delay", "regression", "ts")


def rows(count=2_000, seed=0):
    """Targets of all kinds that follow temp in a straight line, and the origin; a third of the winds are missing."""
    random = np.random.default_rng(seed)
    temp = random.normal(10, 5, count)
    origin = random.choice(["EWR", "JFK", "LGA"], count)
    signal = (temp - 10) / 5 + (origin == "EWR")
    wind = [None if missing else 3.0 for missing in random.random(count) < 0.3]
    return polars.DataFrame(
        {
            "temp": temp,
            "wind": polars.Series(wind, dtype=polars.Float64),
            "origin": origin.tolist(),
            "late": (random.random(count) < 1 / (1 + np.exp(-signal))).astype(np.int8),
            "weather": [
                CLASSES.classes[place] for place in np.digitize(signal + random.normal(0, 0.3, count), [-1, 1])
            ],
            "delay": 4 * signal + random.normal(0, 1, count),
        }
    )


def part(frame, folder):
    """The rows as a part of a split."""
    path = folder / "train.parquet"
    frame.write_parquet(path)
    return Part(path, frame.height, "a" * 64, NOW, NOW)


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    """2,000 rows to learn from."""
    return part(rows(), tmp_path_factory.mktemp("part"))


def values(schema, outputs, frame):
    """All metrics of the answers."""
    truth = frame[schema.target]
    if schema.target_kind == "multiclass":
        truth = polars.Series([schema.classes.index(name) for name in truth])
    return measure_all(schema.target_kind, truth.to_numpy(writable=True), outputs.prediction, outputs.probability)


def test_the_constant_one_says_what_is_usual(train):
    """Its answer to every row is the share of each class, or the mean."""
    frame = rows()

    late = fit_comparator("constant", train, BINARY, seed=7).answers(frame)
    weather = fit_comparator("constant", train, CLASSES, seed=7).answers(frame)
    delay = fit_comparator("constant", train, VALUE, seed=7).answers(frame)

    assert late.probability == pytest.approx(np.full(frame.height, frame["late"].mean()))
    assert weather.probability[0] == pytest.approx([(frame["weather"] == name).mean() for name in CLASSES.classes])
    assert delay.prediction == pytest.approx(np.full(frame.height, frame["delay"].mean()))
    assert delay.probability is None


@pytest.mark.parametrize("name", ["linear", "trees"])
def test_a_fitted_one_beats_the_constant_one_on_new_rows(train, name):
    """Each kind of target is learned from numbers and categories together."""
    new = rows(seed=1)

    found = {
        schema.target: values(schema, fit_comparator(name, train, schema, seed=7).answers(new), new)
        for schema in (BINARY, CLASSES, VALUE)
    }

    # Found: linear 0.741, 0.890 and 0.950, trees 0.715, 0.863 and 0.944; the constant one has 0.5, 0.606 and 0.
    assert found["late"]["roc_auc"] > 0.7
    assert found["weather"]["accuracy"] > 0.85
    assert found["delay"]["r2"] > 0.9


def test_the_linear_one_is_the_logistic_regression_of_the_textbook(train):
    """Its probabilities are those of scikit-learn on the same columns made by hand."""
    frame = rows()
    temp = (frame["temp"].to_numpy() - frame["temp"].mean()) / frame["temp"].to_numpy().std()
    missing = frame["wind"].is_null().to_numpy()
    places = [frame["origin"].to_numpy() == name for name in ("EWR", "JFK", "LGA")]
    by_hand = np.stack([temp, missing, *places], axis=1).astype(float)

    wanted = LogisticRegression(max_iter=1_000).fit(by_hand, frame["late"]).predict_proba(by_hand)[:, 1]

    # 1e-2: ours stops earlier (tol 1e-3).
    assert fit_comparator("linear", train, BINARY, seed=7).answers(frame).probability == pytest.approx(wanted, abs=1e-2)


@pytest.mark.parametrize("name", list(FITS))
def test_odd_rows_are_answered(train, name):
    """Missing, unseen, infinite and extreme values give finite answers."""
    odd = polars.DataFrame(
        {
            "temp": [None, float("nan"), float("inf"), 1e300, -1e300],
            "wind": [None, 1.0, 2.0, None, 1e9],
            "origin": ["EWR", None, "Zürich 🛫", "", "LGA"],
        }
    )

    late = fit_comparator(name, train, BINARY, seed=7).answers(odd)
    delay = fit_comparator(name, train, VALUE, seed=7).answers(odd)

    assert np.isfinite(late.probability).all()
    assert set(late.prediction) <= {0, 1}
    assert np.isfinite(delay.prediction).all()


@pytest.mark.parametrize("name", ["linear", "trees"])
def test_a_class_that_never_occurred_has_probability_zero(tmp_path, name):
    """The columns of the probabilities are the schema's classes, also when the rows hold fewer."""
    two = part(rows().filter(polars.col("weather") != "rain"), tmp_path)

    probability = fit_comparator(name, two, CLASSES, seed=7).answers(rows(5)).probability

    assert probability.shape == (5, 3)
    assert (probability[:, 1] == 0).all()
    assert probability.sum(axis=1) == pytest.approx(np.ones(5))


@pytest.mark.parametrize("name", list(FITS))
def test_a_target_of_one_value_makes_every_model_the_constant_one(tmp_path, name):
    """A logistic regression of one class would fail."""
    never = part(rows(50).with_columns(late=polars.lit(0)), tmp_path)

    answers = fit_comparator(name, never, BINARY, seed=7).answers(rows(5))

    assert answers.probability.tolist() == [0.0] * 5


@pytest.mark.parametrize("kept", ["number", "category"])
@pytest.mark.parametrize("name", ["linear", "trees"])
def test_tables_of_one_kind_of_column_work(train, name, kept):
    """Only numbers, or only categories."""
    schema = Schema(tuple(column for column in FEATURES if column.kind == kept), "late", "binary", "ts")

    answers = fit_comparator(name, train, schema, seed=7).answers(rows(seed=1))

    assert values(schema, answers, rows(seed=1))["roc_auc"] > 0.55


def test_more_rows_than_are_needed_are_taken_evenly(tmp_path):
    """Of 60,000 rows 50,000 are used, from the first to the last."""
    count = MOST_ROWS + 10_000
    rising = polars.DataFrame({"temp": np.zeros(count), "delay": np.arange(count, dtype=float)})
    schema = Schema((Column("temp", "number"),), "delay", "regression", "ts")

    model = fit_comparator("constant", part(rising, tmp_path), schema, seed=7)

    assert model.rows == MOST_ROWS
    # Evenly taken rows have the mean of all rows, but for rounding down to whole places.
    assert model.answers(rising[:1]).prediction[0] == pytest.approx(rising["delay"].mean(), abs=1)


def test_what_cannot_be_fitted_is_told(train, tmp_path):
    """An unknown name, no rows, and a column that is not there when answering."""
    with pytest.raises(ProjectFileError, match="among constant, linear, trees, but one is 'forest'"):
        fit_comparator("forest", train, BINARY, seed=7)
    with pytest.raises(NotEnoughRows, match="the comparator linear wants training rows"):
        fit_comparator("linear", part(rows(1).clear(), tmp_path), BINARY, seed=7)
    with pytest.raises(SchemaMismatch, match="'wind'"):
        fit_comparator("linear", train, BINARY, seed=7).answers(rows(5).drop("wind"))

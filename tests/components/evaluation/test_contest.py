"""Scorecards and contests on real graphs: hand-written ones, small enough to know their answers."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import matplotlib
import numpy as np
import onnx
import polars
import pytest

from components.errors import ModelRefused, ProjectFileError, SchemaMismatch
from components.evaluation.contest import Contender, contest
from components.evaluation.predicting import predict
from components.evaluation.scorecards import score
from components.evaluation.truths import true_answers
from components.records.rows import Column, Part, Schema
from components.settings.evaluation import EvaluationSettings

ROWS = 2_000
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = EvaluationSettings(metric="roc_auc", slices=("origin", "temp"), slice_rows=400)
FEATURES = (Column("temp", "number"), Column("origin", "category"))
BINARY = Schema(FEATURES, "late", "binary", "ts")
CLASSES = Schema(FEATURES, "weather", "multiclass", "ts", classes=("dry", "rain", "snow"))
VALUE = Schema(FEATURES, "delay", "regression", "ts")

HEADER = (
    '<ir_version: 10, opset_import: ["": 20, "ai.onnx.ml": 3]> answers (double[rows] temp, string[rows] origin) => '
)
# probability = sigmoid(weight * temp + (1 where origin is EWR)); a missing temp counts as 0.
BINARY_GRAPH = """(int64[rows] prediction, float[rows] probability) {
    zero = Constant <value = double {0.0}> ()
    half = Constant <value = float {0.5}> ()
    weight = Constant <value = double {WEIGHT}> ()
    missing = IsNaN (temp)
    known = Where (missing, zero, temp)
    weighted = Mul (known, weight)
    number = Cast <to = 1> (weighted)
    place = ai.onnx.ml.LabelEncoder <keys_strings = ["EWR", "JFK"], values_floats = [1.0, 0.0]> (origin)
    scores = Add (number, place)
    probability = Sigmoid (scores)
    above = GreaterOrEqual (probability, half)
    prediction = Cast <to = 7> (above)
}"""
# Scores are 0, temp and 2 * temp - 1, in the order of the classes.
CLASSES_GRAPH = """(int64[rows] prediction, float[rows, classes] probabilities) {
    slope = Constant <value = double[1, 3] {0.0, 1.0, 2.0}> ()
    base = Constant <value = double[1, 3] {0.0, 0.0, -1.0}> ()
    shape = Constant <value = int64[2] {-1, 1}> ()
    column = Reshape (temp, shape)
    product = MatMul (column, slope)
    shifted = Add (product, base)
    scores = Cast <to = 1> (shifted)
    probabilities = Softmax <axis = 1> (scores)
    prediction = ArgMax <axis = 1, keepdims = 0> (probabilities)
    unused = Identity (origin)
}"""
VALUE_GRAPH = """(float[rows] prediction) {
    weight = Constant <value = double {WEIGHT}> ()
    weighted = Mul (temp, weight)
    prediction = Cast <to = 1> (weighted)
    unused = Identity (origin)
}"""


def graph(folder, body, *, weight=1.0, name="model"):
    """The graph as an ONNX file."""
    path = folder / f"{name}.onnx"
    path.write_bytes(onnx.parser.parse_model(HEADER + body.replace("WEIGHT", str(weight))).SerializeToString())
    return path


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    """Rows whose answers follow temp and origin, with targets of all three kinds."""
    random = np.random.default_rng(0)
    temp = random.normal(0, 1.5, ROWS)
    origin = random.choice(["EWR", "JFK"], ROWS)
    late = random.random(ROWS) < 1 / (1 + np.exp(-(temp + (origin == "EWR"))))
    scores = np.stack([0 * temp, temp, 2 * temp - 1], axis=1) + random.gumbel(size=(ROWS, 3))
    frame = polars.DataFrame(
        {
            "temp": temp,
            "origin": polars.Series(origin.tolist()),
            "late": late,
            "weather": [CLASSES.classes[place] for place in scores.argmax(axis=1)],
            "delay": 3 * temp + random.normal(0, 1, ROWS),
            "ts": [NOW] * ROWS,
        }
    )
    path = tmp_path_factory.mktemp("part") / "test.parquet"
    frame.write_parquet(path)
    return Part(path, ROWS, "a" * 64, NOW, NOW)


def test_predictions_are_the_graphs_own_in_the_rows_order(part, tmp_path):
    """Each row gets the probability that its formula gives, with a missing number and an unseen category among them."""
    frame = polars.DataFrame({"origin": ["EWR", "LGA", None], "other": [1, 2, 3], "temp": [2.0, None, -1.0]})

    outputs = predict(graph(tmp_path, BINARY_GRAPH), frame, BINARY)

    # 1e-6: the graph's sigmoid is float32.
    assert outputs.probability == pytest.approx(1 / (1 + np.exp(-np.array([3.0, 0.0, -1.0]))), abs=1e-6)
    assert outputs.prediction.tolist() == [1, 1, 0]


def test_a_scorecard_holds_all_metrics_slices_and_pictures(part, tmp_path):
    """Metrics of the kind, slices by value and by quarter with their rows, and one PNG a picture."""
    scorecard = score(graph(tmp_path, BINARY_GRAPH), part, BINARY, SETTINGS, tmp_path / "plots")

    assert set(scorecard.metrics) == {
        "roc_auc", "log_loss", "average_precision", "brier", "calibration_error", "accuracy",
    }  # fmt: skip
    assert (scorecard.rows, scorecard.table_sha256) == (ROWS, part.sha256)
    # The formula is the one that made the rows, so it must be calibrated: 0.04 is the noise of 15 bins of 2,000 rows.
    assert scorecard.metrics["calibration_error"] < 0.04
    places = [name for name in scorecard.slices if name.startswith("origin=")]
    assert sorted(places) == ["origin=EWR", "origin=JFK"]
    assert sum(scorecard.slices[name]["rows"] for name in places) == ROWS
    assert len([name for name in scorecard.slices if name.startswith("temp=")]) == 4
    names = [path.stem for path in scorecard.plots]
    assert names == ["roc_curve", "precision_recall", "calibration", "probabilities", "slices"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in scorecard.plots)


@pytest.mark.parametrize(
    ("schema", "body", "metric", "pictures"),
    [
        (CLASSES, CLASSES_GRAPH, "macro_f1", ["confusion_matrix", "slices"]),
        (VALUE, VALUE_GRAPH, "rmse", ["predicted_and_true", "residuals", "slices"]),
    ],
    ids=["multiclass", "regression"],
)
def test_other_kinds_have_their_own_pictures(part, tmp_path, schema, body, metric, pictures):
    """A multiclass target gets a confusion matrix, a regression its residuals."""
    settings = SETTINGS.model_copy(update={"metric": metric})

    scorecard = score(graph(tmp_path, body, weight=3.0), part, schema, settings, tmp_path / "plots")

    assert metric in scorecard.metrics
    assert [path.stem for path in scorecard.plots] == pictures


def test_drawing_leaves_matplotlib_as_it_was(part, tmp_path):
    """Several flows may draw at once in one process: no global setting is changed and no figure kept."""
    before = dict(matplotlib.rcParams)
    path = graph(tmp_path, BINARY_GRAPH)

    with ThreadPoolExecutor(2) as pool:
        cards = list(pool.map(lambda place: score(path, part, BINARY, SETTINGS, tmp_path / place), ["one", "two"]))

    assert [picture.read_bytes() for picture in cards[0].plots] == [picture.read_bytes() for picture in cards[1].plots]
    assert dict(matplotlib.rcParams) == before


def test_a_metric_of_another_kind_is_a_mistake_in_the_project_file(part, tmp_path):
    """ROC AUC of a regression is refused before anything is scored."""
    with pytest.raises(ProjectFileError, match=r"one of rmse, mae, r2"):
        score(graph(tmp_path, VALUE_GRAPH), part, VALUE, SETTINGS, tmp_path)


def test_a_slice_column_that_is_not_there_is_named(part, tmp_path):
    """A misspelt slice is told, not skipped."""
    settings = SETTINGS.model_copy(update={"slices": ("orign",)})

    with pytest.raises(SchemaMismatch, match=r"evaluation.slices names \['orign'\]"):
        score(graph(tmp_path, BINARY_GRAPH), part, BINARY, settings, tmp_path)


def test_rows_without_a_label_are_refused():
    """An empty label is not a 0."""
    frame = polars.DataFrame({"late": [True, None, False]})

    with pytest.raises(SchemaMismatch, match="1 of 3 rows have none"):
        true_answers(frame, BINARY)


def test_a_class_that_nobody_knows_is_refused():
    """A label outside the known classes is named."""
    frame = polars.DataFrame({"weather": ["dry", "hail"]})

    with pytest.raises(SchemaMismatch, match=r"one of dry, rain, snow, but 1 of 2 rows do not \(such as 'hail'\)"):
        true_answers(frame, CLASSES)


def test_a_file_that_is_no_graph_is_refused(tmp_path):
    """Bytes that onnxruntime cannot read are refused with the path."""
    (tmp_path / "broken.onnx").write_bytes(b"not a graph")

    with pytest.raises(ModelRefused, match=r"broken.onnx must be an ONNX graph that onnxruntime"):
        predict(tmp_path / "broken.onnx", polars.DataFrame({"temp": [1.0], "origin": ["EWR"]}), BINARY)


def test_the_better_graph_wins_the_contest(part, tmp_path):
    """A graph with the true weight beats one with the wrong sign on the same rows, and not the other way round."""
    good = Contender(graph(tmp_path, BINARY_GRAPH, weight=1.0, name="good"), BINARY)
    bad = Contender(graph(tmp_path, BINARY_GRAPH, weight=-0.2, name="bad"), BINARY)

    assert contest(good, bad, part, SETTINGS).promote
    assert contest(bad, good, part, SETTINGS).outcome == "reject"
    assert contest(good, good, part, SETTINGS).outcome == "inconclusive"
    assert contest(good, None, part, SETTINGS).promote


def test_a_candidate_that_cannot_be_run_is_rejected(part, tmp_path):
    """A broken candidate file ends in a verdict with the reason, not in a failed flow."""
    good = Contender(graph(tmp_path, BINARY_GRAPH, name="good"), BINARY)
    (tmp_path / "broken.onnx").write_bytes(b"not a graph")

    verdict = contest(Contender(tmp_path / "broken.onnx", BINARY), good, part, SETTINGS)

    assert verdict.outcome == "reject"
    assert "the candidate must answer the rows of test.parquet" in verdict.reason
    assert verdict.table_sha256 == part.sha256


def test_a_champion_that_cannot_be_run_keeps_its_place(part, tmp_path):
    """A champion that wants a column the rows do not hold cannot be beaten, so a person must look."""
    good = Contender(graph(tmp_path, BINARY_GRAPH, name="good"), BINARY)
    other = Schema((Column("wind", "number"), *FEATURES), "late", "binary", "ts")

    verdict = contest(good, Contender(good.graph, other), part, SETTINGS)

    assert verdict.outcome == "inconclusive"
    assert "the champion must answer the rows" in verdict.reason
    assert "wind" in verdict.reason


def test_a_champion_that_knows_fewer_classes_is_still_judged(part, tmp_path):
    """Classes are matched by name: a class the champion never saw counts as probability 0 there."""
    path = graph(tmp_path, CLASSES_GRAPH)
    settings = SETTINGS.model_copy(update={"metric": "accuracy"})
    shuffled = Schema(FEATURES, "weather", "multiclass", "ts", classes=("snow", "dry", "rain"))
    older = Schema(FEATURES, "weather", "multiclass", "ts", classes=("fog", "dry", "rain"))

    against_shuffled = contest(Contender(path, CLASSES), Contender(path, shuffled), part, settings)
    against_older = contest(Contender(path, CLASSES), Contender(path, older), part, settings)

    assert against_shuffled.promote
    assert against_older.promote
    assert against_older.champion < against_older.candidate

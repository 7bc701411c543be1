"""One row through bound buffers, and many rows in batches: each row is answered as it would be any other way."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import polars as pl
import pytest

from components.records.models import ModelFiles, ModelVersion
from components.records.rows import Column, Schema
from components.serving.bound import one_row
from components.serving.predictor import BATCH_ROWS, OUTPUTS, Predictor
from components.serving.refusals import Refused
from tests.components.serving import tiny

# What each makes of `score`; `to` is the number by which ONNX knows the type of the prediction.
GRAPHS = {
    "binary": """
        chance = Sigmoid(score)  half = Constant<value_float: float = 0.5>()  sure = GreaterOrEqual(chance, half)
        probability = Identity(chance)  prediction = Cast<to: int = {to}>(sure)
    """,
    "regression": "prediction = Cast<to: int = {to}>(score)",
    "multiclass": """
        axis = Constant<value_ints: ints = [1]>()  wide = Unsqueeze(score, axis)  calm = Neg(wide)
        both = Concat<axis: int = 1>(wide, calm)  probabilities = Softmax<axis: int = 1>(both)
        prediction = ArgMax<axis: int = 1, keepdims: int = 0>(probabilities)
    """,
}
MORE = {"binary": ", float[rows] probability", "regression": "", "multiclass": ", float[rows, 2] probabilities"}
KINDS = {"binary": "int64", "regression": "float", "multiclass": "int64"}
ROWS = [(1.0, 2.0), (-3.5, 0.25), (None, -1.0), (1e30, 1.0), (0.0, 0.0)]


def graph(folder: Path, target: str, kind: str) -> Path:
    """A graph of two numbers, the first of which may be missing."""
    nodes = GRAPHS[target].format(to={"int64": 7, "float": 1, "int32": 6}[kind])
    model = onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20]>
        numbers (double[rows] temp, double[rows] wind) => ({kind}[rows] prediction{MORE[target]}) {{
            missing = IsNaN(temp)  zero = Constant<value: tensor = double {{0}}>()
            known = Where(missing, zero, temp)  sum = Sub(known, wind)  score = Cast<to: int = 1>(sum)  {nodes}
        }}
    """)
    onnx.checker.check_model(model)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def schema(target: str) -> Schema:
    """What its rows look like."""
    features = (Column("temp", "number", nullable=True), Column("wind", "number", nullable=False))
    return Schema(features, "late", target, "at", None, ("calm", "windy") if target == "multiclass" else ())


def predictor(folder: Path, target: str, kind: str) -> Predictor:
    """A version that has proven itself."""
    file = graph(folder, target, kind)
    pl.DataFrame({"temp": [1.0, None, 3.0], "wind": [0.5, 1.5, -2.0]}).write_parquet(folder / "reference.parquet")
    version = ModelVersion("bound", 1, "run", hashlib.sha256(file.read_bytes()).hexdigest())
    made = Predictor(ModelFiles(version, file, schema(target), folder / "reference.parquet", {}, "c" * 64), max_rows=10)
    made.check()
    return made


@pytest.mark.parametrize("target", ["binary", "regression", "multiclass"])
def test_a_row_is_answered_as_onnxruntime_answers_it(tmp_path: Path, target: str):
    """Missing and extreme values too; the types of Python are those of the usual way."""
    session = onnxruntime.InferenceSession(graph(tmp_path, target, KINDS[target]))
    bound = one_row(session, schema(target), OUTPUTS[target])

    assert bound is not None
    for temp, wind in ROWS:
        fed = {"temp": np.array([temp], np.float64), "wind": np.array([wind])}
        wanted = [values.tolist() for values in session.run(OUTPUTS[target], fed)]
        assert bound.answers({"temp": (temp,), "wind": [wind]}) == wanted


@pytest.mark.parametrize(("target", "kind"), [*KINDS.items(), ("binary", "int32")])
def test_a_version_says_the_same_of_one_row_as_of_many(tmp_path: Path, target: str, kind: str):
    """Whether its graph can be bound or not (whole numbers of 32 bits are not)."""
    version = predictor(tmp_path, target, kind)
    temps, winds = zip(*ROWS, strict=True)

    many = version.run({"temp": list(temps), "wind": list(winds)})
    single = [version.run({"temp": [temp], "wind": [wind]}) for temp, wind in ROWS]

    assert [one.prediction for one in single] == [[value] for value in many.prediction]
    for name in ("probability", "probabilities"):
        values = getattr(many, name)
        assert [getattr(one, name) for one in single] == ([None] * 5 if values is None else [[one] for one in values])


@pytest.mark.parametrize("target", KINDS)
def test_many_rows_are_answered_in_their_order(tmp_path: Path, target: str):
    """However a request is cut for the graph, each row has its own answer."""
    version = predictor(tmp_path, target, KINDS[target])
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    temps = np.linspace(-3, 3, 2 * BATCH_ROWS + 7)
    fed = {"temp": temps, "wind": np.zeros_like(temps)}

    answers = version.answer(fed)

    for found, wanted in zip(answers, session.run(OUTPUTS[target], fed), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)  # float32


def test_a_graph_that_takes_texts_is_asked_the_usual_way(tmp_path: Path):
    """onnxruntime binds no texts."""
    session = onnxruntime.InferenceSession(tiny.graph(0.0, tmp_path / "model.onnx"))

    assert one_row(session, tiny.SCHEMA, OUTPUTS["binary"]) is None


def test_threads_that_ask_at_once_get_their_own_answers(tmp_path: Path):
    """The buffers are one request's at a time; whoever finds them taken asks another way."""
    version = predictor(tmp_path, "regression", "float")

    def ask(thread: int) -> list[bool]:
        values = [float(thread * 1000 + turn) for turn in range(2000)]
        return [version.run({"temp": [value], "wind": [0.0]}).prediction == [value] for value in values]

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(8)))

    assert all(map(all, answers))


def test_a_row_without_a_finite_answer_is_refused(tmp_path: Path):
    """A NaN is no prediction, and the next row is answered as ever."""
    version = predictor(tmp_path, "regression", "float")

    with pytest.raises(Refused, match="row 0: the model has no finite answer"):
        version.run({"temp": [float("inf")], "wind": [float("inf")]})
    assert version.run({"temp": [2.0], "wind": [0.5]}).prediction == [1.5]

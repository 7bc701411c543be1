"""Hand-written graphs, small enough to know their answers, and rows that follow them."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import polars

from components.records.models import Variant
from components.records.rows import Column, Part, Schema, Split, TableVersion

NOW = datetime(2026, 1, 1, tzinfo=UTC)
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
# prediction = weight * temp
VALUE_GRAPH = """(float[rows] prediction) {
    weight = Constant <value = double {WEIGHT}> ()
    weighted = Mul (temp, weight)
    prediction = Cast <to = 1> (weighted)
    unused = Identity (origin)
}"""
GRAPHS = {"binary": BINARY_GRAPH, "multiclass": CLASSES_GRAPH, "regression": VALUE_GRAPH}


def graph(folder, schema, *, weight=1.0):
    """The graph for this kind of target as an ONNX file."""
    path = folder / f"{schema.target_kind}.onnx"
    body = GRAPHS[schema.target_kind].replace("WEIGHT", str(weight))
    path.write_bytes(onnx.parser.parse_model(HEADER + body).SerializeToString())
    return path


def variant(folder, schema, *, weight=1.0, footprint=None):
    """The same as a variant."""
    return Variant("fp32", graph(folder, schema, weight=weight), "b" * 64, schema, 0.0, 1.5, footprint=footprint)


def rows(count=2_000, seed=0):
    """Rows whose answers follow temp and origin as the graphs say, with targets of all three kinds."""
    random = np.random.default_rng(seed)
    temp = random.normal(0, 1.5, count)
    origin = random.choice(["EWR", "JFK"], count)
    late = random.random(count) < 1 / (1 + np.exp(-(temp + (origin == "EWR"))))
    scores = np.stack([0 * temp, temp, 2 * temp - 1], axis=1) + random.gumbel(size=(count, 3))
    return polars.DataFrame(
        {
            "temp": temp,
            "origin": polars.Series(origin.tolist()),
            "late": late,
            "weather": [CLASSES.classes[place] for place in scores.argmax(axis=1)],
            "delay": 3 * temp + random.normal(0, 1, count),
            "ts": [NOW] * count,
        }
    )


def part(frame, path):
    """The rows as a part of a split."""
    frame.write_parquet(path)
    return Part(path, frame.height, "a" * 64, NOW, NOW)


def split(folder, schema, test=None):
    """Rows to learn from and rows to score on."""
    train = part(rows(seed=1), folder / "train.parquet")
    scored = part(rows() if test is None else test, folder / "test.parquet")
    table = TableVersion(Path("table"), 0, 4_000, "c" * 64, NOW, NOW)
    return Split(train, train, scored, train, schema, table)

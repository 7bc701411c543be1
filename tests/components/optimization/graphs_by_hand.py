"""Variants of hand-written graphs, with made measurements where a test does not measure."""

import hashlib
from datetime import UTC, datetime

import onnx
import polars

from components.records.models import FittedModel, Footprint, Latency, Variant
from components.records.rows import Column, Part, Schema

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMA = Schema((Column("temp", "number"), Column("origin", "category")), "late", "binary", "ts")
# probability = sigmoid(temp, 0 where it is missing; 1 more where origin is EWR)
GRAPH = """<ir_version: 10, opset_import: ["": 20, "ai.onnx.ml": 3]>
answers (double[rows] temp, string[rows] origin) => (int64[rows] prediction, float[rows] probability) {
    zero = Constant <value = double {0.0}> ()
    half = Constant <value = float {0.5}> ()
    missing = IsNaN (temp)
    known = Where (missing, zero, temp)
    number = Cast <to = 1> (known)
    place = ai.onnx.ml.LabelEncoder <keys_strings = ["EWR", "JFK"], values_floats = [1.0, 0.0]> (origin)
    scores = Add (number, place)
    probability = Sigmoid (scores)
    above = GreaterOrEqual (probability, half)
    prediction = Cast <to = 7> (above)
}"""


def variant(name, folder, text=GRAPH, **facts):
    """The graph as a file, and its record."""
    path = folder / f"{name}.onnx"
    content = onnx.parser.parse_model(text).SerializeToString()
    path.write_bytes(content)
    return Variant(name, path, hashlib.sha256(content).hexdigest(), SCHEMA, 0.0, len(content) / 1e6, **facts)


def part(folder, rows=20):
    """Rows with missing values and an unseen category, as a Parquet file; a positive temp is mostly late."""
    frame = polars.DataFrame(
        {
            "temp": [None if place % 7 == 0 else (place * 37 % 11) / 5 - 1 for place in range(rows)],
            "origin": [("EWR", "JFK", None, "東京")[place % 4] for place in range(rows)],
            "late": [int(place * 37 % 11 > 5) for place in range(rows)],
        },
        schema_overrides={"temp": polars.Float64},
    )
    frame.write_parquet(folder / "validation.parquet")
    return Part(folder / "validation.parquet", rows, "e" * 64, NOW, NOW)


def measured(name, folder, *, speed=100_000.0, p99_ms=0.1, megabytes=1.0, engine="onnxruntime"):
    """A variant with made measurements and no file."""
    latencies = tuple(Latency(rows, rows / speed * 1_000, p99_ms * rows) for rows in (1, 32, 1_024))
    footprint = Footprint(latencies, speed, load_ms=8.0, peak_mb=70.0)
    return Variant(name, folder / f"{name}.onnx", "a" * 64, SCHEMA, 1e-7, megabytes, engine, footprint)


def fitted(folder, peak_mb=560.0):
    """The record of a training that took so much memory."""
    return FittedModel(folder, 3, 3, 0.5, 10.0, 1_000, peak_mb)

"""The answer to POST /predict as its sender wants it: JSON, or an Arrow stream; the same numbers in both."""

from typing import Any

import msgspec
import pyarrow as pa

from components.data.ledger import PredictionBatch
from components.records.rows import Schema
from components.serving.predictor import Outputs

PREDICTION_TYPES = {"binary": pa.int64(), "multiclass": pa.string(), "regression": pa.float64()}


# An object of a known type is made and written in two thirds of the time of a dict.
class _Value(msgspec.Struct, gc=False):
    id: str
    prediction: Any


class _Binary(_Value, gc=False):
    probability: float


class _Multiclass(_Value, gc=False):
    probabilities: dict[str, float]


_encoder = msgspec.json.Encoder()


def as_json(kept: PredictionBatch, outputs: Outputs, schema: Schema) -> bytes:
    """The predictions as an object with a list of objects, one a row."""
    predictions = _predictions(kept.ids, outputs, schema)
    return _encoder.encode({"model": kept.model, "version": kept.version, "predictions": predictions})


def as_arrow(kept: PredictionBatch, outputs: Outputs, schema: Schema) -> bytes:
    """The predictions as an Arrow stream, one row each; model and version are the metadata of its schema.

    The columns are `id`, `prediction`, and `probability` (binary) or one `probability_<class>` for each class
    (multiclass), as `everfit predict` writes them.
    """
    columns = {
        "id": pa.array(kept.ids, pa.string()),
        "prediction": pa.array(outputs.prediction, PREDICTION_TYPES[schema.target_kind]),
    }
    if outputs.probability is not None:
        columns["probability"] = pa.array(outputs.probability, pa.float64())
    for place, name in enumerate(schema.classes if outputs.probabilities is not None else ()):
        shares = [chances[place] for chances in outputs.probabilities or ()]
        columns[f"probability_{name}"] = pa.array(shares, pa.float64())
    batch = pa.record_batch(columns, metadata={"model": kept.model, "version": str(kept.version)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return bytes(sink.getvalue())


def _predictions(ids: list[str], outputs: Outputs, schema: Schema) -> list[Any]:
    if outputs.probability is not None:
        return list(map(_Binary, ids, outputs.prediction, outputs.probability))
    if outputs.probabilities is not None:
        shares = [dict(zip(schema.classes, chances, strict=True)) for chances in outputs.probabilities]
        return list(map(_Multiclass, ids, outputs.prediction, shares))
    return list(map(_Value, ids, outputs.prediction))

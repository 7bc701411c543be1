"""What a version takes and gives, for programs: names, types, ranges."""

from typing import Any

from components.records.rows import Column, Schema

PREDICTIONS = {"binary": "integer", "multiclass": "string", "regression": "number"}


def signature(schema: Schema) -> dict[str, list[dict[str, Any]]]:
    """The columns of a request under `inputs`, those of an answer under `outputs`.

    A range, or a list of values, is what was seen in training: others are answered too.
    """
    inputs = [_feature(column) for column in schema.features]
    inputs.append({"name": schema.timestamp, "type": "date-time", "required": False})
    if schema.id:
        inputs.append({"name": schema.id, "type": "string or integer", "required": False})
    return {"inputs": inputs, "outputs": _outputs(schema)}


def _feature(column: Column) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": column.name, "type": "number" if column.kind == "number" else "string"}
    facts["required"] = not column.nullable
    if column.low is not None and column.high is not None:
        facts |= {"low": column.low, "high": column.high}
    return facts | ({"values": list(column.values)} if column.values else {})


def _outputs(schema: Schema) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [{"name": "id", "type": "string"}]
    prediction: dict[str, Any] = {"name": "prediction", "type": PREDICTIONS[schema.target_kind]}
    if schema.target_kind == "binary":
        share = {"name": "probability", "type": "number", "low": 0.0, "high": 1.0}
        return [*made, prediction | {"values": [0, 1]}, share]
    if schema.target_kind == "regression":
        return [*made, prediction]
    shares = {"name": "probabilities", "type": "object of numbers", "low": 0.0, "high": 1.0}
    classes = list(schema.classes)
    return [*made, prediction | {"values": classes}, shares | {"values": classes}]

"""What goes in and comes out, as OpenAPI describes it: rows, labels, predictions, the model, a refusal."""

from datetime import UTC, datetime
from typing import Any

from components.records.rows import Column, Schema
from components.serving.diagnosis import wanted
from components.serving.predictor import Live


def schemas(live: Live | None, max_rows: int) -> dict[str, Any]:
    """Everything that has a name, as `components/schemas`."""
    if live is None:
        rows: dict[str, Any] = {"Row": {"type": "object"}, "Label": {}, "Prediction": {"type": "object"}}
    else:
        schema = live.predictor.schema
        rows = {"Row": _row(schema), "Label": label_schema(schema), "Prediction": _prediction(schema)}
    many = {"type": "array", "minItems": 1, "maxItems": max_rows}
    labelled = record({"id": {"type": "string", "minLength": 1}, "label": ref("Label")})
    answer = {"model": {"type": "string"}, "version": {"type": "integer"}}
    return rows | {
        "Request": record({"rows": many | {"items": ref("Row")}}),
        "Answer": record(answer | {"predictions": {"type": "array", "items": ref("Prediction")}}),
        "Labels": record({"labels": many | {"items": labelled}}),
        "Accepted": record({"accepted": {"type": "integer", "minimum": 0}}),
        "Refusal": {
            "type": "object",
            "required": ["error"],
            "properties": {"error": {"type": "string"}, "problems": {"type": "array", "items": _PROBLEM}},
        },
    }


def _row(schema: Schema) -> dict[str, Any]:
    columns = {column.name: _column(column) for column in schema.features}
    columns[schema.timestamp] = {
        "type": "string",
        "format": "date-time",
        "pattern": "^(19[7-9][0-9]|20[0-9][0-9])-",
        "nullable": True,
        "description": "Event time with its zone; when it is missing, the time of the request.",
    }
    if schema.id:
        columns[schema.id] = {
            "nullable": True,
            "oneOf": [{"type": "string"}, {"type": "integer"}],
            "description": "Your own id of the row, kept beside the prediction.",
        }
    required = [column.name for column in schema.features if not column.nullable]
    row = {"type": "object", "additionalProperties": False, "properties": columns, "example": example(schema)}
    return row | ({"required": required} if required else {})


def _column(column: Column) -> dict[str, Any]:
    """A column's type; what was seen in training is told, not enforced: a new carrier is drift, not a mistake."""
    kind: dict[str, Any] = {"type": "number", "format": "double"} if column.kind == "number" else {"type": "string"}
    range_seen = seen(column)
    described = f"{wanted(column).capitalize()}." + (f" Seen in training: {range_seen}." if range_seen else "")
    told: dict[str, Any] = {"nullable": column.nullable, "description": described, "example": _typical(column)}
    if column.low is not None and column.high is not None:
        told["x-seen"] = {"minimum": column.low, "maximum": column.high}
    elif column.values:
        told["x-seen"] = {"enum": list(column.values)}
    return kind | told


def example(schema: Schema) -> dict[str, Any]:
    """A row that is answered when it is pasted: the typical value of each column, and the time of now."""
    row: dict[str, Any] = {column.name: _typical(column) for column in schema.features}
    row[schema.timestamp] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return row | ({schema.id: "my-row-1"} if schema.id else {})


def _typical(column: Column) -> float | str | None:
    if column.example is not None:
        return float(column.example) if column.kind == "number" else str(column.example)
    if column.kind == "number":
        return column.low if column.low is not None else 0.0
    return column.values[0] if column.values else "text"


def label_schema(schema: Schema) -> dict[str, Any]:
    """What a label is."""
    if schema.target_kind == "binary":
        return {"oneOf": [{"type": "integer", "enum": [0, 1]}, {"type": "boolean"}], "example": 1}
    if schema.target_kind == "regression":
        return {"type": "number", "example": 1.5}
    return {"type": "string", "enum": list(schema.classes)} if schema.classes else {"type": "string"}


def _prediction(schema: Schema) -> dict[str, Any]:
    chance = {"type": "number", "minimum": 0, "maximum": 1}
    shared: dict[str, Any] = {"id": {"type": "string", "description": "Send the label later under this id."}}
    if schema.target_kind == "binary":
        return record(shared | {"prediction": {"type": "integer", "enum": [0, 1]}, "probability": chance})
    if schema.target_kind == "regression":
        return record(shared | {"prediction": {"type": "number"}})
    probabilities = {"type": "object", "additionalProperties": chance}
    return record(shared | {"prediction": {"type": "string"}, "probabilities": probabilities})


def seen(column: Column) -> str:
    """What was seen in training, in words."""
    if column.kind == "number":
        return "" if column.low is None or column.high is None else f"{column.low:g} to {column.high:g}"
    few = ", ".join(column.values[:12])
    return few + (f" and {len(column.values) - 12} more" if len(column.values) > 12 else "")


def record(properties: dict[str, Any]) -> dict[str, Any]:
    """An object that has all of these and nothing else."""
    return {"type": "object", "additionalProperties": False, "required": list(properties), "properties": properties}


def ref(name: str) -> dict[str, Any]:
    """What stands under this name."""
    return {"$ref": f"#/components/schemas/{name}"}


TEXT = {"type": "string"}
_PROBLEM = record({"row": {"type": "integer", "nullable": True}, "column": TEXT, "wanted": TEXT, "found": TEXT})
EXPLAINED = {
    "type": "object",
    "required": ["id", "model", "version", "row", "answered"],
    "properties": {
        "id": TEXT,
        "model": TEXT,
        "version": {"type": "integer"},
        "variant": TEXT,
        "event_time": {"type": "string", "format": "date-time"},
        "row": {"type": "object", "description": "The raw columns as they were sent; null where missing."},
        "seen": {
            "type": "object",
            "nullable": True,
            "description": "The same as the graph got them; null if the version that answers now has other columns.",
        },
        "answered": {"type": "object"},
    },
}
MODEL = {
    "type": "object",
    "properties": {
        "name": TEXT,
        "version": {"type": "integer", "nullable": True},
        "sha256": TEXT | {"nullable": True},
        "live_since": {"type": "string", "format": "date-time", "nullable": True},
        "metrics": {"type": "object", "additionalProperties": {"type": "number"}},
        "columns": {"type": "array", "items": {"type": "object"}},
        "signature": {
            "type": "object",
            "properties": {side: {"type": "array", "items": {"type": "object"}} for side in ("inputs", "outputs")},
        },
        "verdict": {
            "type": "object",
            "nullable": True,
            "description": "Why it may answer; null if it was not judged, or while the registry cannot be asked.",
            "properties": {
                "outcome": {"type": "string", "enum": ["promote", "reject", "inconclusive"]},
                "reason": TEXT,
                "metric": TEXT,
                "candidate": {"type": "number", "nullable": True},
                "champion": {"type": "number", "nullable": True},
                "rows": {"type": "integer"},
                "promoted_at": {"type": "string", "format": "date-time", "nullable": True},
                "rules": {"type": "array", "items": {"type": "object"}},
            },
        },
        "scorecard": {
            "type": "object",
            "nullable": True,
            "description": "How good it was on the test rows: the metric that decides, with its interval.",
            "properties": {
                "metric": TEXT | {"nullable": True},
                "value": {"type": "number", "nullable": True},
                "low": {"type": "number", "nullable": True},
                "high": {"type": "number", "nullable": True},
                "rows": {"type": "integer"},
                "metrics": {"type": "object"},
                "margins": {"type": "object"},
                "behaviours_passed": {"type": "integer"},
                "behaviours": {"type": "integer"},
            },
        },
        "challenger": {"type": "object", "nullable": True},
        "looked_at": {"type": "string", "format": "date-time", "nullable": True},
        "last_error": TEXT,
    },
}

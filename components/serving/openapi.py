"""The OpenAPI document behind the page at /: the real columns of the version that answers now."""

from datetime import UTC, datetime
from typing import Any

from components.records.rows import Column, Schema
from components.serving.bodies import ARROW, JSON, PARQUET
from components.serving.diagnosis import wanted
from components.serving.predictor import Live

# What means something in Markdown, in HTML or in a table.
MARKUP = "\\|<>&*_`[]~#\n"


def document(name: str, live: Live | None, *, max_rows: int) -> dict[str, Any]:
    """The OpenAPI 3.0 document of the service as it is now.

    Args:
        name: Name of the registered model.
        live: The version that answers, or None.
        max_rows: Largest number of rows in one request.
    """
    return {
        "openapi": "3.0.3",
        "info": {"title": name, "version": _version(live), "description": _description(live)},
        "tags": [{"name": "model"}, {"name": "service"}],
        "paths": {
            "/predict": {"post": _predict(live)},
            "/labels": {"post": _labels(live)},
            "/explain/{id}": {"get": _explain()},
            "/model": {"get": _get("model", "Which version answers, since when, and how good it was.", _MODEL)},
            "/readyz": {"get": _ready()},
            "/livez": {"get": _get("service", "Whether the process is alive.", None)},
            "/metrics": {"get": _get("service", "Counters for Prometheus.", None)},
        },
        "components": {"schemas": _schemas(live, max_rows)},
    }


def _version(live: Live | None) -> str:
    return str(live.predictor.version.version) if live else "none yet"


def _description(live: Live | None) -> str:
    if live is None:
        return "No version has the alias champion yet: run `everfit train`, then load this page again."
    files, schema = live.predictor.files, live.predictor.schema
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in sorted(files.metrics.items()))
    header = "| column | type | may be missing | seen in training |\n|---|---|---|---|\n"
    return (
        f"Predicts **{_cell(schema.target)}** ({schema.target_kind}) from raw rows. Version {files.version.version} "
        f"answers since {live.since:%Y-%m-%d %H:%M:%S} UTC. At registration: {metrics or 'no metrics'}.\n\n"
        + header
        + "\n".join(_line(column) for column in schema.features)
    )


def _line(column: Column) -> str:
    missing = f"yes ({column.missing_share:.1%} were)" if column.nullable else "no"
    return f"| {_cell(column.name)} | {column.kind} | {missing} | {_cell(_seen(column))} |"


def _cell(text: str) -> str:
    """Text that is only text, in a cell of a Markdown table."""
    return "".join(f"&#{ord(letter)};" if letter in MARKUP else letter for letter in text)


def _seen(column: Column) -> str:
    if column.kind == "number":
        return "" if column.low is None or column.high is None else f"{column.low:g} to {column.high:g}"
    few = ", ".join(column.values[:12])
    return few + (f" and {len(column.values) - 12} more" if len(column.values) > 12 else "")


def _schemas(live: Live | None, max_rows: int) -> dict[str, Any]:
    if live is None:
        rows: dict[str, Any] = {"Row": {"type": "object"}, "Label": {}, "Prediction": {"type": "object"}}
    else:
        schema = live.predictor.schema
        rows = {"Row": _row(schema), "Label": _label(schema), "Prediction": _prediction(schema)}
    many = {"type": "array", "minItems": 1, "maxItems": max_rows}
    labelled = _object({"id": {"type": "string", "minLength": 1}, "label": _ref("Label")})
    answer = {"model": {"type": "string"}, "version": {"type": "integer"}}
    return rows | {
        "Request": _object({"rows": many | {"items": _ref("Row")}}),
        "Answer": _object(answer | {"predictions": {"type": "array", "items": _ref("Prediction")}}),
        "Labels": _object({"labels": many | {"items": labelled}}),
        "Accepted": _object({"accepted": {"type": "integer", "minimum": 0}}),
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
    seen = _seen(column)
    described = f"{wanted(column).capitalize()}." + (f" Seen in training: {seen}." if seen else "")
    return kind | {"nullable": column.nullable, "description": described}


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


def _label(schema: Schema) -> dict[str, Any]:
    if schema.target_kind == "binary":
        return {"oneOf": [{"type": "integer", "enum": [0, 1]}, {"type": "boolean"}], "example": 1}
    if schema.target_kind == "regression":
        return {"type": "number", "example": 1.5}
    return {"type": "string", "enum": list(schema.classes)} if schema.classes else {"type": "string"}


def _prediction(schema: Schema) -> dict[str, Any]:
    chance = {"type": "number", "minimum": 0, "maximum": 1}
    shared: dict[str, Any] = {"id": {"type": "string", "description": "Send the label later under this id."}}
    if schema.target_kind == "binary":
        return _object(shared | {"prediction": {"type": "integer", "enum": [0, 1]}, "probability": chance})
    if schema.target_kind == "regression":
        return _object(shared | {"prediction": {"type": "number"}})
    probabilities = {"type": "object", "additionalProperties": chance}
    return _object(shared | {"prediction": {"type": "string"}, "probabilities": probabilities})


def _predict(live: Live | None) -> dict[str, Any]:
    body: dict[str, Any] = {"schema": _ref("Request")}
    if live is not None:
        body["example"] = {"rows": [example(live.predictor.schema)]}
    return {
        "tags": ["model"],
        "summary": "Predict raw rows; each prediction is kept in the ledger before it is answered.",
        "operationId": "predict",
        "requestBody": {"required": True, "content": {JSON: body, ARROW: _TABLE, PARQUET: _TABLE}},
        "responses": {"200": _predicted()} | _refusals("422"),
    }


def _predicted() -> dict[str, Any]:
    answer = _answer("One prediction a row, in order; in an Arrow stream if the header accept names it.", "Answer")
    answer["content"][ARROW] = _TABLE
    return answer


def _labels(live: Live | None) -> dict[str, Any]:
    body: dict[str, Any] = {"schema": _ref("Labels")}
    if live is not None:
        label = _label(live.predictor.schema)
        truth = label.get("example", label.get("enum", ["text"])[0])
        body["example"] = {"labels": [{"id": "an id that POST /predict answered with", "label": truth}]}
    return {
        "tags": ["model"],
        "summary": "Tell what really happened. Sending a label again changes nothing; the newest one counts.",
        "operationId": "labels",
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {"200": _answer("The labels were kept.", "Accepted")} | _refusals("422"),
    }


def _explain() -> dict[str, Any]:
    described = "Id of a prediction, as POST /predict answered with."
    prediction = {"in": "path", "name": "id", "required": True, "schema": _TEXT, "description": described}
    said = {"404": "The ledger holds no such prediction.", "503": "The ledger cannot be read."}
    kept = _get("model", "What was asked, what the graph saw and answered, and which version it was.", _EXPLAINED)
    kept["responses"] |= {status: _answer(text, "Refusal") for status, text in said.items()}
    return kept | {"parameters": [prediction], "operationId": "explain"}


def _refusals(*more: str) -> dict[str, Any]:
    said = {
        "400": "Not what the header content-type says.",
        "408": "Too slow.",
        "413": "Too big.",
        "415": "Sent as another content-type.",
        "422": "Rows or labels are wrong: row, column, wanted, found.",
        "503": "No version answers yet, or the ledger cannot be written.",
    }
    return {status: _answer(text, "Refusal") for status, text in said.items() if status != "422" or "422" in more}


def _ready() -> dict[str, Any]:
    ready = _get("service", "Whether a version answers.", None)
    ready["responses"]["503"] = {"description": "Not yet, and why.", "content": {"text/plain": {"schema": _TEXT}}}
    return ready


def _get(tag: str, summary: str, schema: dict[str, Any] | None) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}} if schema else {"text/plain": {"schema": _TEXT}}
    return {"tags": [tag], "summary": summary, "responses": {"200": {"description": summary, "content": content}}}


def _answer(description: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _ref(schema)}}}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": list(properties), "properties": properties}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


_TEXT = {"type": "string"}
_TABLE = {"schema": {"type": "string", "format": "binary", "description": "One row of raw columns for each row."}}
_PROBLEM = _object({"row": {"type": "integer", "nullable": True}, "column": _TEXT, "wanted": _TEXT, "found": _TEXT})
_EXPLAINED = {
    "type": "object",
    "required": ["id", "model", "version", "row", "answered"],
    "properties": {
        "id": _TEXT,
        "model": _TEXT,
        "version": {"type": "integer"},
        "variant": _TEXT,
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
_MODEL = {
    "type": "object",
    "properties": {
        "name": _TEXT,
        "version": {"type": "integer", "nullable": True},
        "sha256": _TEXT | {"nullable": True},
        "live_since": {"type": "string", "format": "date-time", "nullable": True},
        "metrics": {"type": "object", "additionalProperties": {"type": "number"}},
        "columns": {"type": "array", "items": {"type": "object"}},
        "signature": {
            "type": "object",
            "properties": {side: {"type": "array", "items": {"type": "object"}} for side in ("inputs", "outputs")},
        },
        "last_error": _TEXT,
    },
}

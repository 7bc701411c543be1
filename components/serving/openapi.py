"""The OpenAPI document behind the page at /: the real columns of the version that answers now."""

from typing import Any

from components.records.rows import Column
from components.serving.bodies import ARROW, JSON, PARQUET
from components.serving.predictor import Live
from components.serving.schemas import EXPLAINED, MODEL, TEXT, example, label_schema, ref, schemas, seen

KEYS = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, where the service asks for one."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same in a header of its own."},
}
# Of nobody.
EXAMPLE_ID = "6d0b5a2f83c1e09b77d4-0"
_OBJECT = {"type": "object"}
_TABLE = {"schema": {"type": "string", "format": "binary", "description": "One row of raw columns for each row."}}
# What means something in Markdown, in HTML or in a table.
MARKUP = "\\|<>&*_`[]~#\n"


def document(name: str, live: Live | None, *, max_rows: int, wants_key: bool = False) -> dict[str, Any]:
    """The OpenAPI 3.0 document of the service as it is now.

    Args:
        name: Name of the registered model.
        live: The version that answers, or None.
        max_rows: Largest number of rows in one request.
        wants_key: Whether API keys are asked for.
    """
    made: dict[str, Any] = {
        "openapi": "3.0.3",
        "info": {"title": name, "version": _version(live), "description": _description(live)},
        "tags": [{"name": "model"}, {"name": "service"}],
        "paths": {
            "/predict": {"post": _predict(live)},
            "/labels": {"post": _labels(live)},
            "/explain/{id}": {"get": _explain()},
            "/model": {"get": _get("model", "Which version answers, since when, why, and how good it was.", MODEL)},
            "/readyz": {"get": _ready()},
            "/livez": {"get": _get("service", "Whether the process is alive.", None)},
            "/metrics": {"get": _get("service", "Counters for Prometheus.", None)},
        },
        "components": {"schemas": schemas(live, max_rows), "securitySchemes": KEYS},
    }
    if wants_key:
        for path in ("/predict", "/labels", "/explain/{id}", "/model", "/metrics"):
            for operation in made["paths"][path].values():
                operation["security"] = [{"bearer": []}, {"key": []}]
    return made


def client_document(live: Live | None, *, max_rows: int) -> dict[str, Any]:
    """What `bentoml.SyncHTTPClient` asks for before its first call: the routes that it can call by name."""
    known = schemas(live, max_rows)
    routes = (("predict", "Request", "Predict raw rows."), ("labels", "Labels", "Tell what really happened."))
    return {
        "name": "EverfitService",
        "type": "service",
        "routes": [
            {"name": name, "route": f"/{name}", "doc": doc, "input": _inline(known[body], known), "output": _OBJECT}
            for name, body, doc in routes
        ],
    }


def _inline(schema: Any, known: dict[str, Any]) -> Any:
    """The schema with what it refers to in its place."""
    if isinstance(schema, list):
        return [_inline(item, known) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inline(known[schema["$ref"].rpartition("/")[2]], known)
    return {name: _inline(value, known) for name, value in schema.items()}


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
    return f"| {_cell(column.name)} | {column.kind} | {missing} | {_cell(seen(column))} |"


def _cell(text: str) -> str:
    """Text that is only text, in a cell of a Markdown table."""
    return "".join(f"&#{ord(letter)};" if letter in MARKUP else letter for letter in text)


def _predict(live: Live | None) -> dict[str, Any]:
    body: dict[str, Any] = {"schema": ref("Request")}
    if live is not None:
        body["example"] = {"rows": [example(live.predictor.schema)]}
    return {
        "tags": ["model"],
        "summary": "Predict raw rows; each prediction is kept in the ledger before it is answered.",
        "operationId": "predict",
        "requestBody": {"required": True, "content": {JSON: body, ARROW: _TABLE, PARQUET: _TABLE}},
        "description": _TIMEOUT,
        "responses": {"200": _predicted()} | _refusals(),
    }


def _predicted() -> dict[str, Any]:
    answer = _answer("One prediction a row, in order; in an Arrow stream if the header accept names it.", "Answer")
    answer["content"][ARROW] = _TABLE
    return answer


def _labels(live: Live | None) -> dict[str, Any]:
    body: dict[str, Any] = {"schema": ref("Labels")}
    if live is not None:
        label = label_schema(live.predictor.schema)
        truth = label.get("example", label.get("enum", ["text"])[0])
        # Kept like any other, and joined to nothing; an id that POST /predict answered with goes in its place.
        body["example"] = {"labels": [{"id": EXAMPLE_ID, "label": truth}]}
    return {
        "tags": ["model"],
        "summary": "Tell what really happened. Sending a label again changes nothing; the newest one counts.",
        "operationId": "labels",
        "requestBody": {"required": True, "content": {"application/json": body}},
        "description": _TIMEOUT,
        "responses": {"200": _answer("The labels were kept.", "Accepted")} | _refusals(),
    }


def _explain() -> dict[str, Any]:
    described = "Id of a prediction, as POST /predict answered with."
    prediction = {"in": "path", "name": "id", "required": True, "schema": TEXT, "description": described}
    said = {"404": "The ledger holds no such prediction.", "503": "The ledger cannot be read, or the worker is full."}
    kept = _get("model", "What was asked, what the graph saw and answered, and which version it was.", EXPLAINED)
    kept["responses"] |= {status: _answer(text, "Refusal") for status, text in said.items()}
    return kept | {"parameters": [prediction], "operationId": "explain"}


_TIMEOUT = (
    "The header x-request-timeout may say within how many seconds the answer is of use; when they are over before it "
    "is begun, it is a 504."
)
_RETRY = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds until it is worth sending again."}}
_REFUSED = {
    "400": "Not what the header content-type says.",
    "401": "API keys are asked for, and none that is accepted was sent.",
    "403": "The API key does not open this route.",
    "408": "Too slow.",
    "413": "Too big.",
    "415": "Sent as another content-type.",
    "422": "Rows or labels are wrong: row, column, wanted, found.",
    "429": "Too many requests of one caller.",
    "503": "No version answers yet, the ledger cannot be written, or the worker is full.",
    "504": "The time that the caller gave was over before the answer was begun.",
}
_RETRIED = ("429", "503")


def _refusals(*statuses: str) -> dict[str, Any]:
    answers = {status: _answer(_REFUSED[status], "Refusal") for status in statuses or _REFUSED}
    for status in _RETRIED:
        if status in answers:
            answers[status]["headers"] = _RETRY
    return answers


def _ready() -> dict[str, Any]:
    ready = _get("service", "Whether a version answers.", None)
    ready["responses"]["503"] = {"description": "Not yet, and why.", "content": {"text/plain": {"schema": TEXT}}}
    return ready


def _get(tag: str, summary: str, schema: dict[str, Any] | None) -> dict[str, Any]:
    content = {JSON: {"schema": schema}} if schema else {"text/plain": {"schema": TEXT}}
    answers = {"200": {"description": summary, "content": content}}
    # Probes and counters are answered to whoever looks after the service, however busy it is.
    refusals = _refusals("401", "403", "429") if schema else {}
    return {"tags": [tag], "summary": summary, "responses": answers | refusals}


def _answer(description: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": ref(schema)}}}

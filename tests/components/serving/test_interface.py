"""What the endpoint takes and gives beside single rows of JSON, from outside: a real `bentoml serve`."""

import http.client
import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from components.records.models import ModelVersion
from components.serving.bodies import ARROW, JSON, PARQUET
from components.serving.signatures import signature
from tests.components.serving import tiny
from tests.components.serving.conftest import Service, get, post
from tests.components.serving.test_bulk import file, stream

pytestmark = [pytest.mark.stack, pytest.mark.slow]

ROWS = [
    tiny.row(temp=temp, wind=wind, carrier=carrier, at=f"2026-01-0{place + 1}T00:00:00Z") | {"flight id": str(place)}
    for place, (temp, wind, carrier) in enumerate([(0.1, 0.3, "UA"), (None, 1 / 3, None), (-1e300, 0.0, "never seen")])
]
TABLE = pa.Table.from_pylist(ROWS).set_column(
    4, "at", pa.array([row["at"] for row in ROWS]).cast(pa.timestamp("us", "UTC"))
)


def ask(service: Service, body: bytes, kind: str, **headers: str) -> tuple[int, str, bytes]:
    """Status, content type and bytes of the answer to POST /predict."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    connection.request("POST", "/predict", body, {"content-type": kind} | headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers["content-type"], content


def batches(service: Service, ids: list[str]) -> list[Any]:
    """What the ledger holds of these predictions, without what differs from one request to the next."""
    found = [batch for batch in service.recorded() if set(batch.ids) & set(ids)]
    return [(batch.ids, batch.timestamps, batch.entity_ids, batch.inputs, batch.outputs) for batch in found]


@pytest.mark.parametrize("kind", [ARROW, PARQUET], ids=["Arrow", "Parquet"])
def test_a_table_is_answered_and_kept_as_the_same_rows_in_json(service: Service, champion: ModelVersion, kind: str):
    """The same numbers to the last digit, the same rows in the ledger, in whatever form they come and go."""
    rows_body = json.dumps({"rows": ROWS}).encode()
    table_body = stream(TABLE) if kind == ARROW else file(TABLE)

    wanted = json.loads(ask(service, rows_body, JSON)[2])
    as_json = ask(service, table_body, kind)
    as_arrow = ask(service, table_body, kind, accept=f"{ARROW}, */*;q=0.1")
    as_arrow_of_json = ask(service, rows_body, JSON, accept=ARROW)

    told = json.loads(as_json[2])
    assert (as_json[:2], told["model"], told["version"]) == ((200, JSON), wanted["model"], champion.version)
    numbers = [(row["prediction"], row["probability"]) for row in wanted["predictions"]]
    assert [(row["prediction"], row["probability"]) for row in told["predictions"]] == numbers
    _, *first = batches(service, [row["id"] for row in wanted["predictions"]])[0]
    assert batches(service, ids := [row["id"] for row in told["predictions"]]) == [(ids, *first)]
    for status, content_type, body in (as_arrow, as_arrow_of_json):
        assert (status, content_type) == (200, ARROW)
        table = pa.ipc.open_stream(body).read_all()
        assert table.column_names == ["id", "prediction", "probability"]
        assert table.schema.metadata == {b"model": b"tiny-flights", b"version": str(champion.version).encode()}
        assert list(zip(*table.select(["prediction", "probability"]).to_pydict().values(), strict=True)) == numbers
        ids = table["id"].to_pylist()
        assert batches(service, ids) == [(ids, *first)]


def test_a_table_that_cannot_be_answered_gets_a_sentence(service: Service, champion: ModelVersion):
    """Broken, too many rows, wrong values: a status from 400 to 422, nothing in the ledger, and it serves on."""
    known = sum(service.recorded_ids().values())
    many = TABLE.take([0] * 51)
    wrong = TABLE.set_column(1, "wind speed", pa.array([0.0, float("nan"), 1.0]))

    answers = [
        ask(service, body, kind, accept=ARROW)
        for body, kind in [
            (stream(TABLE)[:200], ARROW),
            (file(TABLE)[:-9], PARQUET),
            (stream(many), ARROW),
            (stream(wrong), ARROW),
            (b"x" * 200_001, PARQUET),
            (stream(TABLE), "application/octet-stream"),
        ]
    ]

    assert [answer[:2] for answer in answers] == [(status, JSON) for status in (400, 400, 422, 422, 413, 415)]
    problem = {"row": 1, "column": "wind speed", "wanted": "a number", "found": "NaN"}
    assert json.loads(answers[3][2])["problems"] == [problem]
    assert all("wanted" in json.loads(answer[2])["error"] for answer in answers)
    assert sum(service.recorded_ids().values()) == known
    assert ask(service, stream(TABLE), ARROW)[0] == 200


def test_a_prediction_is_explained_by_its_id(service: Service, champion: ModelVersion):
    """Whoever holds an id can see what was asked, what the graph saw, what it said, and which version it was."""
    told = service.predict(ROWS[1])[1]["predictions"][0]

    status, kept = get(service.port, f"/explain/{told['id']}")

    assert status == 200
    assert (kept["id"], kept["model"], kept["version"]) == (told["id"], "tiny-flights", champion.version)
    assert kept["row"] == {name: ROWS[1][name] for name in ("temp", "wind speed", "carrier", "tail")}
    assert kept["seen"] == kept["row"] | {"temp": "NaN", "carrier": ""}
    assert kept["answered"] == {name: told[name] for name in ("prediction", "probability")}
    assert (kept["event_time"], kept["entity_id"]) == ("2026-01-02T00:00:00Z", "1")


def test_an_unknown_id_is_a_404_in_the_usual_form(service: Service, champion: ModelVersion):
    """No id, an id of nobody, and a path that leads elsewhere."""
    for path in ("/explain/", f"/explain/{'0' * 20}-0", "/explain/..%2f..%2fetc%2fpasswd"):
        status, answer = get(service.port, path)

        assert (status, list(answer)) == (404, ["error"])
        assert "wanted the id of a prediction in the ledger" in answer["error"]
    assert post(service.port, f"/explain/{'0' * 20}-0", {})[0] == 405


def test_the_model_tells_its_signature_its_metrics_and_since_when_it_is_live(service: Service, champion: ModelVersion):
    """Enough for a program to write a request, and nothing about the machine."""
    facts = service.model()

    assert facts["signature"] == signature(tiny.SCHEMA)
    assert facts["metrics"] == {"roc_auc": 0.75, "log_loss": 0.6}
    assert datetime.fromisoformat(facts["live_since"]) <= datetime.now(UTC)
    assert str(service.environment.folder) not in json.dumps(facts)

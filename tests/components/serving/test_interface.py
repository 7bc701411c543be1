"""What the endpoint takes and gives beside single rows of JSON, from outside: a real `bentoml serve`."""

import http.client
import json
import socket
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from components.records.models import ModelVersion
from components.records.scores import Rule, Verdict
from components.registry.versions import promote
from components.serving.bodies import ARROW, JSON, PARQUET
from components.serving.signatures import signature
from tests.components.serving import tiny
from tests.components.serving.conftest import Service, get, post, wait_for
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


def test_the_model_tells_its_verdict_and_its_scorecard(service: Service, champion: ModelVersion):
    """Why it may answer, and how good it was; a version without a verdict says that it has none."""
    unjudged = wait_for(lambda: service.model() if service.model()["scorecard"] else None)
    version = service.registry.version(service.project_file, 0.125)
    rule = Rule("minimum", True, "wanted 0.65, found 0.75")
    verdict = Verdict("promote", "roc_auc 0.75 is enough", "roc_auc", 0.75, None, None, None, 120, "a" * 64, (rule,))
    promote(version, verdict, at=datetime.now(UTC))
    service.wait_until_live(version)

    facts = wait_for(lambda: service.model() if service.model()["verdict"] else None)

    assert unjudged["verdict"] is None
    assert (facts["verdict"]["outcome"], facts["verdict"]["reason"]) == ("promote", verdict.reason)
    assert facts["verdict"]["rules"] == [{"name": "minimum", "passed": True, "detail": rule.detail}]
    assert datetime.fromisoformat(facts["verdict"]["promoted_at"]) <= datetime.now(UTC)
    assert (facts["scorecard"]["metric"], facts["scorecard"]["value"], facts["scorecard"]["rows"]) == (
        "roc_auc",
        0.75,
        tiny.ROWS,
    )
    service.serve(0.0)


def slow(service: Service, body: bytes) -> socket.socket:
    """A client that says it will send a row, and sends only this of it."""
    client = socket.create_connection(("127.0.0.1", service.port), timeout=40)
    client.sendall(
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n" + body
    )
    return client


def test_slow_clients_get_a_408_and_hurt_nobody(service: Service, champion: ModelVersion):
    """While a hundred of them hold their connections open, everyone else is answered."""
    clients = [slow(service, b'{"rows": [' if number % 2 else b"") for number in range(100)]

    statuses = [service.predict(ROWS[0])[0] for _ in range(50)]
    answers = [client.recv(4096) for client in clients]

    for client in clients:
        client.close()
    assert statuses == [200] * 50
    assert {answer.split(b" ")[1] for answer in answers} == {b"408"}
    assert service.predict(ROWS[0])[0] == 200


def test_a_hundred_megabytes_are_refused_before_they_have_arrived(service: Service, champion: ModelVersion):
    """The answer comes while most of the body is still with its sender, whether or not its length was said."""
    for framing, first in (
        (b"content-length: 100000000", b" " * 1000),
        (b"transfer-encoding: chunked", b"40000\r\n" + b" " * 0x40000),
    ):
        with socket.create_connection(("127.0.0.1", service.port), timeout=30) as client:
            client.sendall(
                b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n" + framing + b"\r\n\r\n"
            )
            client.sendall(first)

            answer = client.recv(4096)

        assert answer.startswith(b"HTTP/1.1 413")
    assert service.predict(ROWS[0])[0] == 200


BAD_ROWS = [
    (
        "infinity",
        b'{"rows":[{"wind speed":1,"tail":"x"},{"wind speed":Infinity,"tail":"x"}]}',
        1,
        "wind speed",
        "a number",
    ),
    ("1e400", b'{"rows":[{"wind speed":1,"tail":"x","temp":-1e400}]}', 0, "temp", "a number or null"),
    ("null", b'{"rows":[{"wind speed":null,"tail":"x"}]}', 0, "wind speed", "a number"),
    ("missing", b'{"rows":[{"wind speed":1}]}', 0, "tail", "text"),
    ("unknown", b'{"rows":[{"wind speed":1,"tail":"x","q":1}]}', 0, "q", "no such column; the model takes"),
    ("no zone", b'{"rows":[{"wind speed":1,"tail":"x","at":"2026-01-01"}]}', 0, "at", "a time with its zone"),
    ("not a row", b'{"rows":[5]}', 0, "", "an object of columns"),
]


@pytest.mark.parametrize(("body", "row", "column", "wanted"), [c[1:] for c in BAD_ROWS], ids=[c[0] for c in BAD_ROWS])
def test_a_bad_value_is_named(
    service: Service, champion: ModelVersion, body: bytes, row: int, column: str, wanted: str
):
    """A 422 with row, column, wanted and found, and nothing of the service's insides."""
    status, _, content = ask(service, body, JSON)

    problem = json.loads(content)["problems"][0]
    assert (status, problem["row"], problem["column"]) == (422, row, column)
    assert problem["wanted"].startswith(wanted)
    assert problem["found"]
    assert not any(word in content.decode() for word in ("Traceback", "File ", ".py", str(service.environment.folder)))

"""The routes that carry the load go round BentoML, and lose nothing by it."""

import asyncio
import http.client
import json
import re
import signal
import socket
import subprocess
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from components.records.models import ModelVersion
from components.serving.direct import straight
from tests.components.serving import tiny
from tests.components.serving.conftest import Service, get, post, send

BODY = json.dumps({"rows": [tiny.row()]}).encode()
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("kind", "path", "wanted"),
    [
        ("http", "/predict", "mounted"),
        ("http", "/labels", "mounted"),
        ("http", "/predict/", "around"),
        ("http", "/readyz", "around"),
        ("websocket", "/predict", "around"),
        ("lifespan", None, "around"),
    ],
)
def test_only_requests_for_the_two_routes_go_round(kind: str, path: str | None, wanted: str):
    """Start, stop, probes and whatever else there is stay BentoML's."""
    asked = []

    def called(name: str) -> Any:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            asked.append(name)

        return application

    scope = {"type": kind} | ({"path": path} if path else {})
    asyncio.run(straight(called("mounted"), called("around"))(scope, None, None))

    assert asked == [wanted]


def counted(service: Service, route: str) -> dict[str, float]:
    """How many requests of a route the service counted, by status, and how many it timed."""
    page = get(service.port, "/metrics")[1]
    found = re.findall(rf'^everfit_requests_total\{{route="{route}",status="(\d+)"\}} (\S+)$', page, re.MULTILINE)
    timed = re.findall(rf'^everfit_request_seconds_count\{{route="{route}"\}} (\S+)$', page, re.MULTILINE)
    return {status: float(count) for status, count in found} | {"timed": float(timed[0]) if timed else 0.0}


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.parametrize(("route", "body"), [("/predict", BODY), ("/labels", b'{"labels": [{"id": "a", "label": 1}]}')])
def test_each_request_is_counted_once(service: Service, champion: ModelVersion, route: str, body: bytes):
    """Answered or refused, a request is one request at /metrics, whichever way it came in."""
    before = counted(service, route)

    statuses = [post(service.port, route, body)[0] for _ in range(5)]
    statuses += [post(service.port, route, b"{}")[0], get(service.port, route)[0]]

    after = counted(service, route)
    assert statuses == [200] * 5 + [422, 405]
    gained = {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name)}
    assert gained == {"200": 5, "422": 1, "405": 1, "timed": 7}


@pytest.mark.stack
@pytest.mark.slow
def test_what_is_no_request_for_them_is_told_so(service: Service, champion: ModelVersion):
    """A HEAD has no body, a path beside them is not found, and the connection goes on."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    found = []
    for method, path, body in (
        ("HEAD", "/predict", None),
        ("OPTIONS", "/labels", None),
        ("POST", "/predict/", BODY),
        ("POST", "/%70redict?x=1", BODY),
    ):
        connection.request(method, path, body, JSON)
        answer = connection.getresponse()
        found.append((answer.status, answer.headers["allow"], len(answer.read()) > 0))
    connection.close()

    assert found == [(405, "POST", False), (405, "POST", True), (404, None, True), (200, None, True)]


@pytest.mark.stack
@pytest.mark.slow
def test_a_body_is_read_up_to_the_limit(service: Service, champion: ModelVersion):
    """A body of many pieces is put together; one that is larger than allowed is refused while it arrives."""
    whole = BODY[:-1] + b" " * (200_000 - len(BODY)) + BODY[-1:]

    answers = [send(service.port, "POST", "/predict", body, JSON)[0] for body in (whole, iter([whole]), whole + b" ")]

    assert answers == [200, 200, 413]


@pytest.mark.stack
@pytest.mark.slow
def test_a_request_in_flight_is_answered_before_the_service_stops(service: Service, champion: ModelVersion):
    """SIGTERM in the middle of a request: it gets its answer, which is kept, and only then does the service end."""
    assert service.program.process is not None
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        lines = ["POST /predict HTTP/1.1", "host: x", "content-type: application/json", f"content-length: {len(BODY)}"]
        connection.sendall("\r\n".join([*lines, "\r\n"]).encode() + BODY[:10])
        assert get(service.port, "/livez")[0] == 200  # by now the first piece was read too

        service.program.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            service.program.process.wait(2)
        connection.sendall(BODY[10:])
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        told = json.loads(answer.read())

    service.program.process.wait(20)
    assert answer.status == 200
    assert service.recorded_ids()[told["predictions"][0]["id"]] == 1

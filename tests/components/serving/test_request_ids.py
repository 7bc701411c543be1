"""A caller finds its request by its own name, in the answer and in the ledger."""

import http.client
import json

import pytest

from components.serving.refusals import Refused
from components.serving.request_ids import caller_request_id
from tests.components.serving import tiny
from tests.components.serving.conftest import Service, get


def ask(service: Service, *, row: dict[str, object] | None = None, **headers: str) -> tuple[int, dict, str | None]:
    """Status, answer and its header x-request-id."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    body = json.dumps({"rows": [row or tiny.row()]})
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", "/predict", body, {"content-type": "application/json"} | named)
    answer = connection.getresponse()
    said = answer.status, json.loads(answer.read()), answer.headers.get("x-request-id")
    connection.close()
    return said


@pytest.mark.usefixtures("champion")
def test_the_callers_name_is_kept_and_sent_back(service: Service):
    """It stands in the header of the answer, in the row, and in what GET /explain tells."""
    status, answer, named = ask(service, x_request_id="order-17/a=1")

    name = answer["predictions"][0]["id"]
    (batch,) = [batch for batch in service.recorded() if name in batch.ids]
    assert (status, named) == (200, "order-17/a=1")
    assert batch.caller_request_id == "order-17/a=1"
    assert get(service.port, f"/explain/{name}")[1]["caller_request_id"] == "order-17/a=1"


@pytest.mark.usefixtures("champion")
def test_a_request_without_a_name_gets_ours(service: Service):
    """The header then has the part that the ids of its rows share."""
    status, answer, named = ask(service)

    assert status == 200
    assert answer["predictions"][0]["id"] == f"{named}-0"


@pytest.mark.usefixtures("champion")
def test_a_refused_request_is_named_too(service: Service):
    """Who looks for a request that went wrong finds it by the same name."""
    status, _, named = ask(service, row={"temp": "warm"}, x_request_id="order-18")

    assert (status, named) == (422, "order-18")


@pytest.mark.parametrize("sent", [b"", b"a b", b"x" * 129, b"caf\xc3\xa9", b"a\x00b", b"a\r\nset-cookie: b"])
def test_what_cannot_be_written_down_is_refused(sent: bytes):
    """Too long, with spaces, control characters or other scripts: a 400 that says what would be right."""
    with pytest.raises(Refused, match="wanted 1 to 128 printable ASCII characters") as refused:
        caller_request_id({b"x-request-id": sent})

    assert refused.value.status == 400


def test_the_longest_name_is_taken():
    """128 characters are one more than any common tool sends; without the header there is none."""
    assert caller_request_id({b"x-request-id": b"~" * 128}) == "~" * 128
    assert caller_request_id({}) is None

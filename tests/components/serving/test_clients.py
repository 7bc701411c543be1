"""Programs that know nothing of Everfit find what they need: BentoML's clients, and whoever pastes an example."""

import asyncio
import json
import subprocess
from typing import Any

import bentoml
import pytest
from bentoml.exceptions import BentoMLException

from components.records.models import ModelVersion
from tests.components.serving import tiny
from tests.components.serving.conftest import Service, get, post

pytestmark = [pytest.mark.stack, pytest.mark.slow]


def operations(service: Service) -> dict[str, Any]:
    """Paths of the OpenAPI document."""
    paths: dict[str, Any] = get(service.port, "/docs.json")[1]["paths"]
    return paths


def test_bentomls_client_predicts_and_labels(service: Service, champion: ModelVersion):
    """Called by name, with rows as keywords; what comes back is the answer as it is."""
    with bentoml.SyncHTTPClient(service.address) as client:
        answer = client.predict(rows=[tiny.row(temp=5.0), tiny.row(wind=2.0)])
        ids = [one["id"] for one in answer["predictions"]]
        accepted = client.labels(labels=[{"id": name, "label": 1} for name in ids])

    chances = [one["probability"] for one in answer["predictions"]]
    assert (answer["model"], answer["version"], accepted) == ("tiny-flights", champion.version, {"accepted": 2})
    assert chances == pytest.approx([tiny.probability(0.0, 5.0), tiny.probability(0.0, wind=2.0)], abs=1e-6)
    assert set(ids) <= set(service.recorded_ids())


def test_bentomls_client_hands_on_what_is_wrong(service: Service, champion: ModelVersion):
    """The sentence of the service, not a stack of the client's."""
    with bentoml.SyncHTTPClient(service.address) as client:
        with pytest.raises(BentoMLException, match="column 'wind speed': wanted a number, found nothing"):
            client.predict(rows=[{"tail": "N1"}])
        with pytest.raises(TypeError, match="row"):
            client.predict(row=[])


def test_bentomls_asynchronous_client_predicts_too(service: Service, champion: ModelVersion):
    """The same by the other client."""

    async def ask() -> Any:
        async with bentoml.AsyncHTTPClient(service.address) as client:
            return await client.predict(rows=[tiny.row()])

    assert len(asyncio.run(ask())["predictions"]) == 1


def test_curl_needs_nothing_but_a_header(service: Service, champion: ModelVersion):
    """As the README tells it."""
    command = ["curl", "-sS", f"{service.address}/predict", "-H", "content-type: application/json"]

    done = subprocess.run(
        [*command, "-d", json.dumps({"rows": [tiny.row()]})], capture_output=True, text=True, check=True
    )

    assert json.loads(done.stdout)["version"] == champion.version


@pytest.mark.parametrize("path", ["/predict", "/labels"])
def test_every_example_works_when_it_is_pasted(service: Service, champion: ModelVersion, path: str):
    """What the page shows is answered with 200."""
    body = operations(service)[path]["post"]["requestBody"]["content"]["application/json"]["example"]

    assert post(service.port, path, body)[0] == 200


def test_columns_are_told_with_type_range_and_example(service: Service, champion: ModelVersion):
    """What was seen in training is told beside the type, since other values are answered too."""
    row = get(service.port, "/docs.json")[1]["components"]["schemas"]["Row"]

    assert row["required"] == ["wind speed", "tail"]
    temp, carrier = row["properties"]["temp"], row["properties"]["carrier"]
    assert (temp["type"], temp["nullable"], temp["example"]) == ("number", True, 12.5)
    assert temp["x-seen"] == {"minimum": -10.0, "maximum": 40.0}
    assert (carrier["type"], carrier["x-seen"]) == ("string", {"enum": ["UA", "日本", "a|b<c>"]})
    assert post(service.port, "/predict", {"rows": [row["example"] | {"temp": 1000.0, "carrier": "new"}]})[0] == 200


def test_every_refusal_is_told_with_when_to_come_again(service: Service, champion: ModelVersion):
    """Each status of a refusal stands in the document; two of them come with Retry-After."""
    answers = operations(service)["/predict"]["post"]["responses"]

    assert set(answers) == {"200", "400", "401", "403", "408", "413", "415", "422", "429", "503", "504"}
    assert [status for status in answers if "headers" in answers[status]] == ["429", "503"]
    assert "Retry-After" in answers["503"]["headers"]
    schemes = get(service.port, "/docs.json")[1]["components"]["securitySchemes"]
    assert [scheme["type"] for scheme in schemes.values()] == ["http", "apiKey"]
    assert "security" not in operations(service)["/predict"]["post"]  # this service asks for no keys

"""The endpoint, from outside: a real `bentoml serve` that follows a real MLflow."""

import http.client
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from components.records.models import ModelVersion
from tests.browser import open_page
from tests.components.serving import tiny
from tests.components.serving.conftest import NAME, Service, get, post, send, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.slow]

BIASES = (0.0, 1.0, -1.0)
ROW = tiny.row()
JSON = {"content-type": "application/json"}


class Load:
    """Requests one after the other on one connection, as an application would send them, until it is stopped."""

    def __init__(self, port: int, *, rows: int = 2) -> None:
        self.answers: list[dict[str, Any]] = []
        self.failures: list[str] = []
        self._port = port
        self._body = json.dumps({"rows": [ROW] * rows})
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stopped.set()
        self._thread.join()

    @property
    def ids(self) -> list[str]:
        return [prediction["id"] for answer in self.answers for prediction in answer["predictions"]]

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self._stopped.is_set():
            try:
                connection.request("POST", "/predict", self._body, JSON)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as err:
                self.failures.append(repr(err))
                connection.close()
                time.sleep(0.05)
                continue
            if answer.status == 200:
                self.answers.append(json.loads(body))
            else:
                self.failures.append(f"{answer.status} {body!r}")


def test_without_a_champion_the_service_is_alive_and_says_what_is_missing(service: Service):
    """A fresh installation starts, and its answers name the next step."""
    said = service.before

    assert said["/livez"][0] == 200
    for path in ("/readyz", "/predict"):
        assert said[path][0] == 503
        assert "no version has the alias champion yet; run everfit train" in str(said[path][1])
    assert said["/model"][1]["version"] is None
    assert "everfit train" in said["/docs.json"][1]["info"]["description"]


def test_rows_are_answered_as_onnxruntime_answers_them(service: Service, champion: ModelVersion, tmp_path: Path):
    """What is served is what was registered: missing, unseen, extreme and non-Latin values too."""
    rows = [
        tiny.row(temp=12.5, wind=0.25, carrier="UA"),
        {"wind speed": 2, "tail": "N2"},
        tiny.row(temp=None, carrier="日本", at="2026-01-05T00:00:00+01:00"),
        tiny.row(temp=-1e300, carrier="never seen", tail="x\u0000y"),
    ]

    status, answer = service.predict(*rows)

    assert status == 200
    assert (answer["model"], answer["version"]) == (NAME, champion.version)
    fed = {
        "temp": np.array([12.5, np.nan, np.nan, -1e300]),
        "wind speed": np.array([0.25, 2, 0, 0], np.float64),
        "carrier": np.array(["UA", "", "日本", "never seen"], object),
        "tail": np.array(["N1", "N2", "N1", "x\u0000y"], object),
    }
    session = onnxruntime.InferenceSession(tiny.graph(0.0, tmp_path / "again.onnx"))
    prediction, chance = session.run(["prediction", "probability"], fed)
    assert [row["prediction"] for row in answer["predictions"]] == prediction.tolist()
    assert [row["probability"] for row in answer["predictions"]] == chance.tolist()
    assert chance[0] == pytest.approx(tiny.probability(0.0, 12.5, 0.25, "UA"), abs=1e-6)  # float32
    assert len({row["id"] for row in answer["predictions"]}) == 4


def test_a_prediction_stands_in_the_ledger_when_it_is_answered(service: Service, champion: ModelVersion):
    """Nothing is answered that was not kept first: inputs, outputs, version, event time and the application's id."""
    status, answer = service.predict(tiny.row(temp=3, carrier="UA", at="2026-01-02T00:00:00Z") | {"flight id": 5})

    kept = [batch for batch in service.recorded() if answer["predictions"][0]["id"] in batch.ids]
    assert status == 200
    assert len(kept) == 1
    batch = kept[0]
    assert (batch.model, batch.version, batch.variant) == (NAME, champion.version, "champion")
    assert batch.inputs == {"temp": [3.0], "wind speed": [0.0], "carrier": ["UA"], "tail": ["N1"]}
    assert batch.outputs == {
        "prediction": [answer["predictions"][0]["prediction"]],
        "probability": [answer["predictions"][0]["probability"]],
    }
    assert batch.timestamps == [1_767_312_000_000_000]
    assert batch.entity_ids == ["5"]
    assert 0 < batch.latency_ms < 10_000
    assert len(batch.config_sha256) == 64


def test_labels_are_kept_late_and_again(service: Service, champion: ModelVersion):
    """Sending the same label twice is no mistake; what counts is settled when they are joined."""
    name = service.predict(ROW)[1]["predictions"][0]["id"]
    labels = {"labels": [{"id": name, "label": 1}, {"id": "of an earlier time", "label": False}]}

    answers = [post(service.port, "/labels", labels) for _ in range(2)]

    assert answers == [(200, {"accepted": 2})] * 2
    kept = [dict(zip(batch.ids, batch.labels, strict=True)) for batch in service.labelled() if name in batch.ids]
    assert kept == [{name: 1.0, "of an earlier time": 0.0}] * 2


def chunks(size: int):
    """A body whose length is not said beforehand."""
    return iter([b'{"rows": [' + b" " * 1000] + [b" " * 10_000] * (size // 10_000))


BAD: list[tuple[str, str, Any, dict[str, str], int, str]] = [
    ("no content type", "/predict", b"{}", {}, 415, "wanted content-type application/json or "),
    ("a form", "/predict", b"a=1", {"content-type": "text/plain"}, 415, "found text/plain"),
    ("compressed", "/predict", b"{}", JSON | {"content-encoding": "gzip"}, 415, "found gzip; send it uncompressed"),
    ("not JSON", "/predict", b"rows", JSON, 400, "wanted JSON, found a mistake in line 1"),
    ("nothing", "/labels", b"", JSON, 400, "wanted JSON"),
    ("deep nesting", "/predict", b"[" * 90_000, JSON, 400, "nested too deeply"),
    ("too big", "/predict", b" " * 200_001, JSON, 413, "wanted at most 0.2 MB in a request, found 200001 bytes"),
    ("too big, in chunks", "/predict", chunks(400_000), JSON, 413, "found more than 200000 bytes"),
    ("too many rows", "/predict", json.dumps({"rows": [ROW] * 51}).encode(), JSON, 422, "wanted at most 50 items"),
    ("no rows", "/predict", b'{"rows": []}', JSON, 422, "found an empty list"),
    ("NaN", "/predict", b'{"rows":[{"wind speed":NaN,"tail":"x"}]}', JSON, 422, "column 'wind speed': wanted a number"),
    ("1e400", "/predict", b'{"rows":[{"wind speed":1e400,"tail":"x"}]}', JSON, 422, "too large for a double"),
    ("a text", "/predict", b'{"rows":[{"wind speed":"w","tail":"x"}]}', JSON, 422, 'wanted a number, found "w"'),
    ("a misspelling", "/predict", b'{"rows":[{"wind_speed":1,"tail":"x"}]}', JSON, 422, "did you mean 'wind speed'?"),
    ("no finite answer", "/predict", b'{"rows":[{"wind speed":1e308,"temp":1e308,"tail":"x"}]}', JSON, 200, ""),
    (
        "a wrong label",
        "/labels",
        b'{"labels":[{"id":"a","label":7}]}',
        JSON,
        422,
        "wanted 0, 1, false or true, found 7",
    ),
    ("another path", "/predictions", b"{}", JSON, 404, "wanted one of /predict, /labels"),
]


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "sentence"), [c[1:] for c in BAD], ids=[c[0] for c in BAD]
)
def test_what_cannot_be_answered_gets_a_sentence(
    service: Service, champion: ModelVersion, path: str, body: Any, headers: dict[str, str], status: int, sentence: str
):
    """No request makes the service fail, and the next one is answered as ever."""
    found, answer = send(service.port, "POST", path, body, headers)

    assert found == status
    assert "Traceback" not in str(answer)
    if status != 200:
        assert sentence in answer["error"]
    assert service.predict(ROW)[0] == 200


def test_another_method_is_told_the_right_one(service: Service, champion: ModelVersion):
    """A GET on /predict is a mistake that the answer mends."""
    status, answer = get(service.port, "/predict")

    assert (status, answer["error"]) == (405, "wanted POST /predict, found another method")


def test_a_version_that_was_tampered_with_is_refused_and_the_old_one_answers(service: Service, champion: ModelVersion):
    """A graph whose bytes changed in the artifact store never answers; /model says why, and good ones still come."""
    bad = service.registry.version(service.project_file, 5.0)
    stored = [file for file in service.registry.folder.glob("artifacts/**/model.onnx") if file.read_bytes()]
    wanted = tiny.graph(5.0, service.registry.folder / "wanted.onnx").read_bytes()
    (file,) = [file for file in stored if file.read_bytes() == wanted]
    file.write_bytes(tiny.graph(6.0, service.registry.folder / "other.onnx").read_bytes())

    service.registry.point(bad)
    why = wait_for(lambda: service.model()["last_error"], seconds=20)

    assert f"version {bad.version} was not taken" in why
    assert "sha256" in why
    assert service.model()["version"] == champion.version
    assert service.predict(ROW)[1]["version"] == champion.version
    assert get(service.port, "/readyz")[0] == 200
    after = service.serve(1.0)
    assert service.model()["last_error"] == ""
    assert service.predict(ROW)[1]["version"] == after.version


def test_the_page_shows_the_columns_and_its_example_works_when_pasted(
    service: Service, champion: ModelVersion, tmp_path: Path
):
    """Someone who opens the address can try the model at once, without the internet and without an error."""
    with open_page(service.address) as view:
        view.page.wait_for_selector("text=wind speed")
        text = view.text
        view.page.click("#operations-model-predict .opblock-summary-control")
        view.page.click("#operations-model-predict button.execute")
        view.page.wait_for_selector("#operations-model-predict .live-responses-table .response-col_status")
        answered = view.page.inner_text("#operations-model-predict .live-responses-table")
        view.screenshot(tmp_path / "page.png")

    assert view.errors == []
    for word in (NAME, "Version", "-10 to 40", "0 to 3", "carrier", "UA, 日本, a|b<c>", "roc_auc 0.75"):
        assert word in text
    assert "200" in answered
    assert '"probability"' in answered
    example = get(service.port, "/docs.json")[1]["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert post(service.port, "/predict", example["application/json"]["example"])[0] == 200


def test_counters_are_shown_to_prometheus(service: Service, champion: ModelVersion):
    """An operator sees requests by route and status, rows, the version, and failures."""
    service.predict(ROW)
    service.predict({})

    status, page = get(service.port, "/metrics")

    assert status == 200
    assert 'everfit_requests_total{route="/predict",status="200"}' in page
    assert 'everfit_requests_total{route="/predict",status="422"}' in page
    assert f"}} {champion.version}.0" in next(line for line in page.splitlines() if line.startswith("everfit_model_v"))
    for name in (
        "rows_total",
        "swaps_total",
        "follow_failures_total",
        "ledger_failures_total",
        "request_seconds_bucket",
    ):
        assert f"everfit_{name}" in page


def test_nothing_is_answered_that_the_ledger_did_not_keep(service: Service, champion: ModelVersion):
    """With the ledger's folder gone and not to be made again, requests are refused; afterwards all is well."""
    folder = service.environment.ledger(NAME) / "segments"
    aside = folder.with_name("aside")
    known = set(service.recorded_ids())
    folder.rename(aside)
    folder.write_text("a file where the folder should be")
    for segment in aside.glob("*.seg"):
        segment.rename(segment.with_suffix(".kept"))
        segment.with_suffix(".kept").unlink()

    try:
        status, answer = service.predict(ROW)
    finally:
        folder.unlink()
        aside.rename(folder)

    assert known
    assert status == 503
    assert "the ledger could not be written, so nothing was answered" in answer["error"]
    status, answer = service.predict(ROW)
    assert status == 200
    assert service.recorded_ids()[answer["predictions"][0]["id"]] == 1


def test_killed_under_load_it_loses_nothing_and_starts_without_the_registry(service: Service, champion: ModelVersion):
    """Whatever was answered before kill -9 is in the ledger exactly once, and the last champion needs no registry."""
    loads = [Load(service.port), Load(service.port, rows=20)]
    with loads[0], loads[1]:
        wait_for(lambda: len(loads[0].answers) > 20)
        (worker,) = service.workers()
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: service.workers() not in ([], [worker]), seconds=60, why=service.program.log.read_text)
        seen = len(loads[0].answers)
        wait_for(lambda: len(loads[0].answers) > seen + 20, seconds=60, why=service.program.log.read_text)
        service.registry.program.kill()
        wait_for(lambda: "cannot be asked" in service.model().get("last_error", ""), seconds=30)
        served_on = service.predict(ROW)
        service.program.kill()
    assert get(service.port, "/livez")[0] == 0
    service.start()
    restarted = service.predict(ROW)
    service.registry.start()
    wait_for(lambda: service.model().get("last_error") == "", seconds=30, why=lambda: str(service.model()))

    assert served_on[0] == 200
    assert (restarted[0], restarted[1]["version"]) == (200, champion.version)
    recorded = service.recorded_ids()
    answered = [*loads[0].ids, *loads[1].ids, restarted[1]["predictions"][0]["id"]]
    assert len(answered) > 100
    assert {recorded[name] for name in answered} == {1}


def test_asked_to_stop_it_stops(service: Service, champion: ModelVersion):
    """SIGTERM ends the service with all its workers, soon and without an error."""
    workers = service.workers()
    assert service.program.process is not None
    service.program.process.send_signal(signal.SIGTERM)

    service.program.process.wait(30)

    assert workers
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert get(service.port, "/livez")[0] == 0


def test_workers_do_not_outlive_the_service(service: Service, champion: ModelVersion):
    """Killed without a warning, the service leaves no worker behind that keeps the port."""
    (worker,) = service.workers()
    assert service.program.process is not None

    service.program.process.kill()

    service.program.process.wait(10)
    wait_for(lambda: get(service.port, "/livez")[0] == 0 and not Path(f"/proc/{worker}").exists(), seconds=20)

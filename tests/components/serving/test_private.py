"""A service whose project keeps columns private: its ledger, its log and its answers."""

import os
import subprocess
from pathlib import Path

import pytest

from components.data.compaction import compact
from components.data.privacy import Privacy
from components.serving.bodies import ARROW
from components.serving.command import serve_command
from components.serving.counters import Counters
from components.serving.pinned import Pinned
from components.serving.proving import Proving
from components.settings.environment import Environment
from tests.components.serving import tiny
from tests.components.serving.alone import alone
from tests.components.serving.conftest import NAME, free_port, get, send, wait_for
from tests.components.serving.test_bulk import stream, table

PRIVATE = "private: {tail: hash, carrier: absent, flight id: hash},"


def test_no_private_value_leaves_the_request(tmp_path: Path):
    """Neither segments, tables nor the log hold it; the answer is the same, and GET /explain says what is not kept."""
    secret = tiny.row(carrier="UA", tail="SECRET-TAIL", temp=1.0) | {"flight id": "SECRET-ID"}
    with alone(tmp_path, serving=PRIVATE, EVERFIT_HASH_KEY="a key of sixteen and more") as service:
        ledger = service.environment.ledger(NAME)

        status, answer = service.predict(secret, secret)
        rows = table(carrier=["SECRET-CARRIER", "UA"], tail=["SECRET-TAIL", "N2"], id=["SECRET-ID", "2"])
        bulk, _ = send(service.port, "POST", "/predict", stream(rows), {"content-type": ARROW})
        refused, _ = service.predict(secret | {"wind speed": "SECRET-WIND"})
        name = answer["predictions"][0]["id"]
        explained = [get(service.port, f"/explain/{name}")]
        contents = [b"".join(file.read_bytes() for file in ledger.rglob("*") if file.is_file())]
        compact(ledger, tiny.SCHEMA)
        explained.append(get(service.port, f"/explain/{name}"))
        contents.append(b"".join(file.read_bytes() for file in ledger.rglob("*") if file.is_file()))
        contents.append(service.program.log.read_bytes())

    assert (status, bulk, refused) == (200, 200, 422)
    assert answer["predictions"][0]["probability"] == pytest.approx(tiny.probability(0.0, 1.0, 0.0, "UA"), rel=1e-5)
    assert all(len(content) > 500 for content in contents)
    assert [content.count(b"SECRET") for content in contents] == [0, 0, 0]
    assert explained[0] == explained[1]
    _, told = explained[0]
    assert told["row"] == {"temp": 1.0, "wind speed": 0.0}
    assert sorted(told["hashed"]) == ["flight id", "tail"]
    assert told["absent"] == ["carrier"]
    assert told["entity_id"] is None
    assert told["seen"] == {"temp": 1.0, "wind speed": 0.0, "carrier": None, "tail": None}


def test_a_version_without_a_private_column_is_not_taken(tmp_path: Path):
    """A name with a typo is found before the first request: no version answers, and the reason says which names."""
    version = tmp_path / NAME / "3"
    version.mkdir(parents=True)
    files = tiny.packed(version, tiny.graph(0.0, version / "model.onnx"), name=NAME)
    private = Privacy(None, {"tial": "absent"}, "flight id", b"")
    pinned = Pinned(NAME, 3, cache=tmp_path, max_rows=10, counters=Counters(), privacy=private)
    proving = Proving(max_rows=10, counters=Counters(), privacy=private)

    pinned.start(wait_seconds=1)
    proven = proving.prove(files.version, lambda _version: files)

    assert (pinned.live, proven) == (None, None)
    for reason in (pinned.last_error, proving.reason):
        assert "serving.private names 'tial', did you mean 'tail'?" in reason


def test_without_the_key_the_service_does_not_start(tmp_path: Path):
    """Where hashes are wanted and there is no key, nothing is served, and the log says what to set."""
    project_file = tiny.write_project(tmp_path, NAME)
    project_file.write_text(project_file.read_text().replace("serving: {", f"serving: {{{PRIVATE} ", 1))
    environment = Environment(home=tmp_path / "home", service_port=free_port(), pinned_version=3)
    command, variables = serve_command(environment, project_file, 1)

    with (tmp_path / "service.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=os.environ | variables, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            said = wait_for(lambda: _told(tmp_path / "service.log"), seconds=60)
            ended = process.wait(60)
        finally:
            process.kill()

    assert "serving.private wants a hash of tail, flight id, for which the environment variable" in said
    assert ended != 0
    assert get(environment.service_port, "/livez")[0] == 0


def _told(log: Path) -> str:
    text = log.read_text()
    return text if "EVERFIT_HASH_KEY" in text else ""

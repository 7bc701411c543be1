"""Whoever is killed, and whenever: every id that was answered stands in the ledger once, and none twice."""

import http.client
import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from components.data.compaction import compact
from components.data.ledger import PREDICTIONS, segment_folder
from components.data.segments import segments
from components.data.windows import counts
from tests.components.serving import tiny
from tests.components.serving.alone import alone
from tests.components.serving.conftest import NAME, Service, wait_for

ROOT = Path(__file__).parents[3]
SENDERS = 4
WORKERS = 3
# A killed worker is back after 2 s of two cores; with twenty-four the test ends in time on a busy machine too.
WORKER_KILLS = 24
COMPACTION_KILLS = 24
SERVICE_KILLS = 2

COMPACT_AGAIN_AND_AGAIN = """
import sys, time
from pathlib import Path
from components.data.compaction import compact
from tests.components.serving import tiny
while True:
    compact(Path(sys.argv[1]), tiny.SCHEMA)
    time.sleep(0.3)
"""


class Senders:
    """Applications that ask again and again, and remember every id they were answered with.

    Attributes:
        ids: Those ids.
        broken: How many requests came to no end.
    """

    def __init__(self, port: int) -> None:
        self.ids: list[str] = []
        self.broken = 0
        self._port = port
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask no more; all answers are in when this returns."""
        self._ended.set()
        for thread in self._threads:
            thread.join(60)

    def _send(self) -> None:
        body = json.dumps({"rows": [tiny.row(), tiny.row(temp=1.0)]})
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self._ended.is_set():
            try:
                connection.request("POST", "/predict", body, {"content-type": "application/json"})
                answer = connection.getresponse()
                content = answer.read()
                assert answer.status == 200, content
                self.ids += [one["id"] for one in json.loads(content)["predictions"]]
                time.sleep(0.01)  # load enough, and cores left for workers to start again
            except (OSError, http.client.HTTPException):
                self.broken += 1
                connection.close()
                time.sleep(0.05)


def compaction(ledger: Path) -> subprocess.Popen[bytes]:
    """A process that compacts until it is killed."""
    return subprocess.Popen([sys.executable, "-c", COMPACT_AGAIN_AND_AGAIN, str(ledger)], cwd=ROOT)


def working(service: Service) -> list[int]:
    """The workers that have answered something."""
    names = [file.stem for file in segments(segment_folder(service.environment.ledger(NAME)), PREDICTIONS)]
    writing = {int(name.split("-")[2]) for name in names}
    return [pid for pid in service.workers() if pid in writing]


def kill_a_worker(service: Service, chance: random.Random) -> None:
    """End one that is at work."""
    pids = wait_for(lambda: working(service), seconds=30, why=service.program.log.read_text)
    os.kill(chance.choice(pids), signal.SIGKILL)


def table_ids(ledger: Path) -> Counter[str]:
    """How often each id stands in the table."""
    return Counter(pl.read_delta(str(ledger / PREDICTIONS))["prediction_id"].to_list())


@pytest.mark.slow
def test_fifty_kills_lose_no_answer_and_double_none(tmp_path: Path):
    """Workers, compactions and the whole service are killed at random moments under load, two compactions going on."""
    chance = random.Random(7)
    kills = ["worker"] * WORKER_KILLS + ["compaction"] * COMPACTION_KILLS + ["service"] * SERVICE_KILLS
    chance.shuffle(kills)
    with alone(tmp_path, workers=WORKERS) as service:
        ledger = service.environment.ledger(NAME)
        senders = Senders(service.port)
        compactions = [compaction(ledger), compaction(ledger)]
        try:
            for kill in kills:
                time.sleep(chance.uniform(0.05, 0.6))
                if kill == "worker":
                    kill_a_worker(service, chance)
                elif kill == "compaction":
                    compactions[0].kill()
                    compactions[0].wait()
                    compactions = [compactions[1], compaction(ledger)]
                else:
                    service.program.kill()
                    service.start()
            senders.stop()
        finally:
            for process in compactions:
                process.kill()
                process.wait()
    compact(ledger, tiny.SCHEMA)

    found, answered = table_ids(ledger), Counter(senders.ids)
    print(f"answered ids={len(answered)} kept={len(found)} kills={len(kills)} broken requests={senders.broken}")
    assert len(kills) == 50
    assert len(answered) > 1000
    assert senders.broken > 0
    assert max(answered.values()) == 1
    assert [name for name in answered if found[name] != 1] == []
    assert [name for name, times in found.items() if times > 1] == []
    assert counts(ledger)["damaged_segments"] == 0
    assert segments(segment_folder(ledger), PREDICTIONS) == []


def test_a_torn_last_record_costs_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """A worker killed in the middle of a write leaves a torn frame: all before it is kept, the log says so once."""
    with alone(tmp_path) as service:
        ledger = service.environment.ledger(NAME)
        answers = [service.predict(tiny.row(temp=float(number)))[1]["predictions"][0]["id"] for number in range(20)]
        service.program.kill()
        (segment,) = segments(segment_folder(ledger), PREDICTIONS)
        os.truncate(segment, segment.stat().st_size - 7)
        service.start()
        status, after = wait_for(lambda: [*service.predict(tiny.row())] if service.workers() else None)
        with caplog.at_level(logging.WARNING):
            compact(ledger, tiny.SCHEMA)

    assert status == 200
    assert table_ids(ledger) == Counter([*answers[:-1], after["predictions"][0]["id"]])
    assert [record.levelname for record in caplog.records if "torn frame dropped" in record.message] == ["WARNING"]
    assert not segment.exists()

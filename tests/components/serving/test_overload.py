"""Twice the load that a worker can bear, on a real service: every request gets an answer or a refusal, and no other."""

import json
import time
from pathlib import Path

import pytest

from tests.components.serving import tiny
from tests.components.serving.alone import alone
from tests.components.serving.conftest import get, post
from tests.components.serving.pressure import press

pytestmark = [pytest.mark.stack, pytest.mark.slow]

BODY = json.dumps({"rows": [tiny.row()]}).encode()
# More than two cores answer in any case, so that whatever else runs beside it, it is too much.
RATE = 30_000
SECONDS = 5


def test_a_worker_under_twice_its_load_answers_what_it_can_and_refuses_the_rest(tmp_path: Path):
    """Over 256 connections: 200, or 503 with when to come again; what was answered is kept once, what was not is not.

    Afterwards the next request is answered soon.
    """
    with alone(tmp_path) as service:
        found = press(service.port, BODY, rate=RATE, connections=256, seconds=SECONDS, keeps_bodies=True)
        status = 0
        while status != 200 and time.perf_counter() < found.ended + 10:
            status = post(service.port, "/predict", BODY)[0]
        again_seconds = time.perf_counter() - found.ended
        ids = [one["id"] for told in found.bodies for one in json.loads(told)["predictions"]]
        recorded = service.recorded_ids()
        page = get(service.port, "/metrics")[1]

    assert set(found.answers) == {200, 503}
    assert (found.unanswered, found.without_retry) == (0, 0)
    assert len(ids) == len(set(ids)) == found.answers[200]
    assert set(ids) <= set(recorded)
    assert recorded.total() == found.answers[200] + 1
    assert f'everfit_refused_total{{reason="queue"}} {float(found.answers[503])}' in page
    assert status == 200
    assert again_seconds < 3  # one, and what a busy machine takes on top

"""Versions take over from each other, twenty times in a minute and under load: no request fails or is a mix."""

import itertools
import math
import time

import psutil
import pytest

from components.records.models import ModelVersion
from tests.components.serving import tiny
from tests.components.serving.conftest import Service
from tests.components.serving.test_service import BIASES, Load

pytestmark = [pytest.mark.stack, pytest.mark.slow]

SWAPS = 20
# What requests and answers under way take more or less, measured: 0 to 5 MB over 40 swaps (tests/benchmarks/swaps.py).
# That no version stays behind is shown to the last one in test_follower.py.
GROWTH_MB = 25


def test_twenty_swaps_under_load_fail_no_request(service: Service, champion: ModelVersion):
    """Every request is answered, by the version that it names and that the ledger has it under; memory stays."""
    by_version = {service.registry.version(service.project_file, bias).version: bias for bias in BIASES}
    (worker,) = service.workers()
    megabytes, begun = [], time.monotonic()

    with Load(service.port) as first, Load(service.port, rows=40) as second:
        for swap in range(1, SWAPS + 1):
            service.serve(BIASES[swap % len(BIASES)])
            megabytes.append(psutil.Process(worker).memory_info().rss / 1e6)
        seconds = time.monotonic() - begun

    answers = first.answers + second.answers
    assert first.failures + second.failures == []
    assert seconds < 60
    assert service.workers() == [worker]
    taken = [answer["version"] for answer in first.answers]
    assert sum(before != after for before, after in itertools.pairwise(taken)) >= SWAPS - 1
    for answer in answers:
        wanted = tiny.probability(by_version[answer["version"]])
        assert all(math.isclose(row["probability"], wanted, abs_tol=1e-6) for row in answer["predictions"])
    recorded = {name: batch.version for batch in service.recorded() for name in batch.ids}
    assert all(recorded[row["id"]] == answer["version"] for answer in answers for row in answer["predictions"])
    assert megabytes[-1] - megabytes[2] < GROWTH_MB

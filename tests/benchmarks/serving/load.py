"""Load on one side: is it ready, is it right, how many requests a second does it answer, and what does that take."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil

from tests.benchmarks.serving.network import OUTPUTS, columns, json_rows, open_session
from tests.benchmarks.serving.sides import Side
from tests.components.serving.conftest import START_SECONDS, Program, post

SCRIPT = """
local file = io.open("{body}", "rb")
wrk.method = "POST"
wrk.headers["content-type"] = "{kind}"
wrk.body = file:read("*all")
"""
JSON = "application/json"
# Between two looks at a side that starts; a tenth of a second would be a twentieth of what is measured.
LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Load:
    """What one turn of wrk found.

    Attributes:
        rate: Requests a second.
        p50_ms: Median latency.
        p99_ms: 99th percentile of the latency.
        cpu_us: CPU microseconds a request, of all processes of the service.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


def start(side: Side) -> float:
    """Start it; seconds until it says that it can predict."""
    begun = time.perf_counter()
    side.program.start()
    while not _is_ready(side):
        if time.perf_counter() > begun + START_SECONDS:
            raise SystemExit(f"wanted {side.path} to be served, but it is not ready:\n{side.program.log.read_text()}")
        time.sleep(LOOK_SECONDS)
    return time.perf_counter() - begun


def check(side: Side, graph: Path, rows: int) -> None:
    """Compare its answers with those of the graph alone: a quick wrong answer is not worth measuring."""
    status, told = post(side.port, side.path, side.body(json_rows(rows)))
    assert status == 200, f"{side.path} answered {status}: {told}"
    _, wanted = open_session(graph).run(OUTPUTS, columns(rows))
    found = [row["probability"] for row in side.predictions(told)]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def json_body(side: Side, rows: int) -> bytes:
    """A request of the first rows, as this side takes it."""
    return json.dumps(side.body(json_rows(rows))).encode()


def put_load(side: Side, body: bytes, folder: Path, *, seconds: int, connections: int, kind: str = JSON) -> Load:
    """Ask again and again over some connections.

    Raises:
        SystemExit: If a request was not answered with 200.
    """
    sent, script = folder / "body", folder / "wrk.lua"
    sent.write_bytes(body)
    script.write_text(SCRIPT.format(body=sent, kind=kind))
    address = f"http://127.0.0.1:{side.port}{side.path}"
    command = [str(shutil.which("wrk")), "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script)]
    before = _cpu_seconds(side.program)
    told = subprocess.run([*command, address], capture_output=True, text=True, check=True).stdout
    cpu = _cpu_seconds(side.program) - before
    if "Non-2xx" in told or "Socket errors" in told:
        raise SystemExit(f"wanted answers of 200 only from {address}, found:\n{told}")
    words = told.split()
    requests = int(words[words.index("requests") - 1])
    rate = float(words[words.index("Requests/sec:") + 1])
    return Load(rate, _ms(words[words.index("50%") + 1]), _ms(words[words.index("99%") + 1]), cpu / requests * 1e6)


def imported(side: Side) -> set[str]:
    """The packages that all of its processes import until it says that it can predict; it is started for this alone."""
    side.program.env["PYTHONPROFILEIMPORTTIME"] = "1"
    try:
        start(side)
    finally:
        side.program.kill()
    return set(
        re.findall(r"^import time: .*\| +([^\s.]+)$", side.program.log.read_text(errors="replace"), re.MULTILINE)
    )


def worker_megabytes(program: Program) -> float:
    """Memory of the process that answers (it has worked the most), in MB; pages shared with others are divided."""
    worker = max(_processes(program), key=lambda process: sum(process.cpu_times()[:2]))
    return float(worker.memory_full_info().pss / 1e6)


def _is_ready(side: Side) -> bool:
    if side.program.process.poll() is not None:
        raise SystemExit(f"wanted {side.path} to be served, but it ended:\n{side.program.log.read_text()}")
    try:
        return httpx.get(f"http://127.0.0.1:{side.port}{side.ready}", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def _cpu_seconds(program: Program) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in _processes(program))


def _processes(program: Program) -> Sequence[psutil.Process]:
    assert program.process is not None
    whole = psutil.Process(program.process.pid)
    return [whole, *whole.children(recursive=True)]


def _ms(text: str) -> float:
    """wrk's way to write a time, in milliseconds."""
    for unit, factor in (("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise ValueError(f"wanted a time such as 4.2ms, found {text}")

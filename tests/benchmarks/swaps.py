"""What switching versions costs the requests that run meanwhile: swaps, a canary, a shadow, beside a calm service.

    python tests/benchmarks/swaps.py [seconds]

One worker, a real registry, versions of one small model. Each side takes turns with calm stretches of the same load and
length, so that another busy process hurts both alike; the table has medians of the turns, and of the turns' ratios.
`full` is 16 connections that never pause: the worker has no time left, so whatever is done besides takes from the
requests. `paced` is the same connections at some hundred requests a second, as a service should run. The swaps are 20 a
minute; `seconds` is for a turn of the other sides. `MB` is the worker's memory at the end of the side.
"""

import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from components.records.models import Challenger  # noqa: E402 - the repository's root must be found first
from components.registry.challengers import clear, put  # noqa: E402
from components.serving.command import serve_command  # noqa: E402
from components.settings.environment import Environment  # noqa: E402
from tests.benchmarks.serving.load import SCRIPT, _ms  # noqa: E402
from tests.components.serving import tiny  # noqa: E402
from tests.components.serving.conftest import Program, Registry, Service, free_port, get, wait_for  # noqa: E402

TABLE = Path(__file__).parent / "results" / "swaps.txt"
NAME = "swaps"
CONNECTIONS = 16
TURNS = 3
SWAPS, SWAP_SECONDS = 20, 60
BIASES = (0.0, 1.0, -1.0, 2.0, -2.0)
# Milliseconds that each connection rests between two requests; 16 of them then send some 300 a second.
PAUSES = {"full": 0, "paced": 50}
BODY = '{"rows": [{"temp": 12.5, "wind speed": 0.5, "carrier": "UA", "tail": "N123", "flight id": "%s"}]}'
# Each request has an id of its own, as the canary's side is chosen by it.
IDS = """
local count = 0
request = function()
  count = count + 1
  return wrk.format(nil, nil, nil, string.format([[{body}]], count))
end
delay = function() return {pause} end
"""


@dataclass(frozen=True)
class Latency:
    """What wrk found: requests a second, milliseconds."""

    rate: float
    p50_ms: float
    p99_ms: float


def put_load(port: int, folder: Path, pause_ms: int, seconds: int) -> Latency:
    """Ask again and again.

    Raises:
        SystemExit: If a request was not answered with 200.
    """
    sent, script = folder / "body", folder / "wrk.lua"
    sent.write_text("")
    script.write_text(SCRIPT.format(body=sent, kind="application/json") + IDS.format(body=BODY, pause=pause_ms))
    address = f"http://127.0.0.1:{port}/predict"
    command = [str(shutil.which("wrk")), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(script)]
    told = subprocess.run([*command, address], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        raise SystemExit(f"wanted answers of 200 only from {address}, found:\n{told}")
    words = told.split()
    rate = float(words[words.index("Requests/sec:") + 1])
    return Latency(rate, _ms(words[words.index("50%") + 1]), _ms(words[words.index("99%") + 1]))


@contextmanager
def serving(folder: Path) -> Iterator[Service]:
    """A registry with the versions, and a service of one worker that answers with the first."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--serve-artifacts"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    env = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    registry = Registry(Program(command, env, folder / "mlflow.log"), port, folder)
    project_file = tiny.write_project(folder, NAME)
    environment = Environment(home=folder / "home", service_port=free_port(), tracking_uri=registry.address)
    command, variables = serve_command(environment, project_file, workers=1)
    service = Service(
        Program(command, os.environ | variables, folder / "service.log"), environment, project_file, registry
    )
    try:
        registry.start()
        for bias in BIASES:
            registry.version(project_file, bias)
        registry.point(registry.versions[BIASES[0]])
        service.start()
        wait_for(lambda: get(service.port, "/readyz")[0] == 200)
        yield service
    finally:
        for program in (service.program, registry.program):
            if program.process is not None:
                program.kill()


@contextmanager
def swapping(service: Service) -> Iterator[None]:
    """One swap each 3 seconds, which are 20 a minute, behind the load."""

    def swap() -> None:
        begun = time.monotonic()
        for number in range(1, SWAPS // TURNS + 1):
            service.serve(BIASES[number % len(BIASES)])
            time.sleep(max(0.0, begun + number * SWAP_SECONDS / SWAPS - time.monotonic()))

    thread = threading.Thread(target=swap)
    thread.start()
    yield
    thread.join()


@contextmanager
def challenged(service: Service, variant: str, share: float) -> Iterator[None]:
    """A challenger beside the champion."""
    service.serve(BIASES[0])
    version = service.registry.version(service.project_file, BIASES[1])
    put(Challenger(version, variant, share, 0, datetime.now(UTC)))
    wait_for(lambda: service.model()["challenger"])
    yield
    clear(version, "the benchmark is over", datetime.now(UTC))
    wait_for(lambda: service.model()["challenger"] is None)


def main() -> None:
    """Measure each side beside a calm stretch, print the table and keep it."""
    if shutil.which("wrk") is None:
        raise SystemExit("wanted the program wrk, found none on the PATH; apt-get install wrk")
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    lines = [
        f"$ python tests/benchmarks/swaps.py {seconds}    "
        f"# {os.cpu_count()} cores, {platform.machine()}; {datetime.now(UTC):%Y-%m-%d}",
        f"{'load':<8}{'beside':<14}{'requests/s':>11}{'p50 ms':>9}{'p99 ms':>9}{'rate/calm':>11}{'p50/calm':>10}"
        f"{'p99/calm':>10}{'MB':>7}",
    ]
    with tempfile.TemporaryDirectory() as scratch, serving(Path(scratch)) as service:
        sides: dict[str, tuple[int, Callable[[], AbstractContextManager[None]]]] = {
            "20 swaps": (SWAP_SECONDS // TURNS, lambda: swapping(service)),
            "canary, half": (seconds, lambda: challenged(service, "canary", 0.5)),
            "shadow": (seconds, lambda: challenged(service, "shadow", 0.0)),
        }
        for load, pause in PAUSES.items():
            put_load(service.port, Path(scratch), pause, 3)
            for side, (long, beside) in sides.items():
                calm, found = [], []
                for _ in range(TURNS):
                    calm.append(put_load(service.port, Path(scratch), pause, long))
                    with beside():
                        found.append(put_load(service.port, Path(scratch), pause, long))
                lines += [_line(load, "nothing", calm, calm, service), _line(load, side, found, calm, service)]
                print("\n".join(lines[-2:]), flush=True)
        lines += ["", *_counted(service)]
    text = "\n".join(lines) + "\n"
    print(text, end="")
    TABLE.write_text(text)


def _line(load: str, name: str, found: list[Latency], calm: list[Latency], service: Service) -> str:
    (worker,) = service.workers()
    columns = list(zip(*map(astuple, found), strict=True))
    beside = list(zip(*map(astuple, calm), strict=True))
    rate, p50, p99 = (statistics.median(values) for values in columns)
    ratios = [
        statistics.median(one / other for one, other in zip(*pair, strict=True))
        for pair in zip(columns, beside, strict=True)
    ]
    return (
        f"{load:<8}{name:<14}{rate:>11,.0f}{p50:>9.2f}{p99:>9.2f}{ratios[0]:>11.2f}{ratios[1]:>10.2f}{ratios[2]:>10.2f}"
        f"{psutil.Process(worker).memory_info().rss / 1e6:>7.0f}"
    )


def _counted(service: Service) -> list[str]:
    """What the service counted meanwhile."""
    names = ("everfit_swaps", "everfit_challenger_seconds_count", "everfit_challenger_failures", "everfit_shadow_d")
    return [line for line in get(service.port, "/metrics")[1].splitlines() if line.startswith(names)]


if __name__ == "__main__":
    main()

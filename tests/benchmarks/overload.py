"""Twice the load that a worker can bear: what is answered, what is refused, how soon, and how fast it recovers.

    python -m tests.benchmarks.overload [seconds]

One worker with the default `serving.limits`. Its capacity is what wrk finds over 32 connections, which is below the
queue, so that nothing is refused; the median of three turns. Then requests come at a fixed rate over 256 connections,
however they are answered, and each takes its time from when it was due. `again s` is from the end of the load until ten
single requests in a row take no longer than such requests took before it (their 99th percentile).
"""

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.serving import load
from tests.benchmarks.serving.network import save_graph
from tests.benchmarks.serving.sides import Side, ours
from tests.benchmarks.serving.table import title
from tests.components.serving.conftest import post
from tests.components.serving.pressure import Found, press

TABLE = Path(__file__).parent / "results" / "overload.txt"
CONNECTIONS, CAPACITY_CONNECTIONS = 256, 32
TURNS, TURN_SECONDS = 3, 3
SINGLES, IN_A_ROW = 300, 10
PATIENCE_SECONDS = 30.0
# The first lasts as long as asked; the others show what comes before and after.
TIMES, AROUND, AROUND_SECONDS = 2.0, (0.5, 1.0, 4.0), 5


def main() -> None:
    """Start the service, measure, print the table and keep it."""
    if shutil.which("wrk") is None:
        raise SystemExit("wanted the program wrk, found none on the PATH; apt-get install wrk")
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        side = ours(save_graph(folder / "model.onnx"), folder / "ours")
        try:
            load.start(side)
            lines = [title(f"python -m tests.benchmarks.overload {seconds}"), *_measure(side, folder, seconds)]
        finally:
            side.program.kill()
    text = "\n".join(lines) + "\n"
    print(text, end="")
    TABLE.write_text(text)


def _measure(side: Side, folder: Path, seconds: int) -> list[str]:
    body = load.json_body(side, 1)
    load.put_load(side, body, folder, seconds=1, connections=CAPACITY_CONNECTIONS)
    turns = [
        load.put_load(side, body, folder, seconds=TURN_SECONDS, connections=CAPACITY_CONNECTIONS) for _ in range(TURNS)
    ]
    capacity = statistics.median(turn.rate for turn in turns)
    usual = _quantiles([_single(side, body) for _ in range(SINGLES)])[1]
    lines = [
        f"capacity {capacity:,.0f} requests/s; a single request p99 {usual * 1e3:.1f} ms",
        f"{'load':<14}{'asked/s':>10}{'answered/s':>12}{'of capacity':>12}{'refused/s':>11}"
        f"{'p50 ms':>9}{'p99 ms':>9}{'refused p50':>13}{'p99 ms':>9}{'other':>7}{'again s':>9}",
    ]
    for times, lasts in [(TIMES, seconds), *((one, AROUND_SECONDS) for one in AROUND)]:
        found = press(side.port, body, rate=times * capacity, connections=CONNECTIONS, seconds=lasts)
        lines.append(_line(f"{times:g} times, {lasts} s", found, capacity, _again_seconds(side, body, found, usual)))
    return lines


def _line(name: str, found: Found, capacity: float, again_seconds: float) -> str:
    answered, refused = (found.answers[status] / found.lasted_seconds for status in (200, 503))
    times = [_quantiles(found.seconds.get(status, [])) for status in (200, 503)]
    other = found.answers.total() - found.answers[200] - found.answers[503] + found.unanswered + found.without_retry
    shown = [f"{value * 1e3:.1f}" if value else "-" for pair in times for value in pair]
    asked = found.answers.total() / found.lasted_seconds
    return (
        f"{name:<14}{asked:>10,.0f}{answered:>12,.0f}{answered / capacity:>12.2f}"
        f"{refused:>11,.0f}{shown[0]:>9}{shown[1]:>9}{shown[2]:>13}{shown[3]:>9}{other:>7}{again_seconds:>9.2f}"
    )


def _again_seconds(side: Side, body: bytes, found: Found, usual: float) -> float:
    """Seconds from the last request of the load to the first of ten quick ones in a row."""
    in_a_row, begun = 0, 0.0
    while in_a_row < IN_A_ROW:
        asked = time.perf_counter()
        if asked - found.ended > PATIENCE_SECONDS:
            raise SystemExit(f"wanted a request within {usual:.4f} s again, found none in {PATIENCE_SECONDS:.0f} s")
        quick = _single(side, body) <= usual
        begun = asked if quick and not in_a_row else begun
        in_a_row = in_a_row + 1 if quick else 0
    return begun - found.ended


def _single(side: Side, body: bytes) -> float:
    asked = time.perf_counter()
    status, told = post(side.port, side.path, body)
    if status != 200:
        raise SystemExit(f"wanted an answer to a single request, found {status}: {told}")
    return time.perf_counter() - asked


def _quantiles(seconds: list[float]) -> tuple[float, float]:
    """Median and 99th percentile; 0 of nothing."""
    cuts = statistics.quantiles(seconds, n=100) if len(seconds) > 1 else [0.0] * 99
    return cuts[49], cuts[98]


if __name__ == "__main__":
    main()

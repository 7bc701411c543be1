"""What a request costs: our service beside others that answer with the same graph, all in one run on loopback.

    python -m tests.benchmarks.serving [seconds]

One worker each. The sides take turns of some seconds, so that another busy process hurts all alike; look at the ratios,
the numbers themselves belong to the machine. Ours checks every row, writes each prediction to the ledger and counts it.
The first table is one row a request over 16 connections: medians of the turns, `CPU us` a request of all processes of
the side, `MB` of the worker that answers after the load, `ready s` from start to ready with nothing else starting. The
others are rows a second of large requests over two connections, as shares of what one thread does without any HTTP.
"""

import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.serving import limits, load, table
from tests.benchmarks.serving.network import save_graph
from tests.benchmarks.serving.sides import BY_HAND, OURS, Side, all_sides
from tests.components.serving.conftest import post

TABLE = Path(__file__).parents[1] / "results" / "serving.txt"
TURNS = 3
CONNECTIONS = 16
BULK_CONNECTIONS = 2  # one is read while the other is answered
JSON_ROWS, BATCH_ROWS, STREAM_ROWS = 1_000, 1_024, 8_192
ARROW = "application/vnd.apache.arrow.stream"


def main() -> None:
    """Start every side, measure in turns, print the tables and keep them."""
    if shutil.which("wrk") is None:
        raise SystemExit("wanted the program wrk, found none on the PATH; apt-get install wrk")
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        graph = save_graph(folder / "model.onnx")
        sides = all_sides(graph, folder)
        try:
            ready = _start(sides, graph)
            lines = [table.title(f"python -m tests.benchmarks.serving {seconds}")]
            lines += _single_rows(sides, ready, folder, seconds)
            lines += ["", *_json_rows(sides, graph, folder, seconds)]
            lines += ["", *_arrow(sides[OURS], graph, folder, seconds)]
        finally:
            for side in sides.values():
                if side.program.process is not None:
                    side.program.kill()
    text = "\n".join(lines) + "\n"
    print(text, end="")
    TABLE.write_text(text)


def _start(sides: Mapping[str, Side], graph: Path) -> dict[str, float]:
    """Seconds to ready of each, one after the other; what two sides share is started once."""
    ready: dict[int, float] = {}
    for side in sides.values():
        if side.port not in ready:
            ready[side.port] = load.start(side)
        load.check(side, graph, rows=3)
    return {name: ready[side.port] for name, side in sides.items()}


def _single_rows(sides: Mapping[str, Side], ready: Mapping[str, float], folder: Path, seconds: int) -> list[str]:
    bodies = {name: load.json_body(side, 1) for name, side in sides.items()}
    for name, side in sides.items():  # one second that does not count: caches, arenas, first garbage collections
        load.put_load(side, bodies[name], folder, seconds=1, connections=CONNECTIONS)
    turns: dict[str, list[load.Load]] = {name: [] for name in sides}
    for _ in range(TURNS):
        for name, side in sides.items():
            found = load.put_load(side, bodies[name], folder, seconds=seconds, connections=CONNECTIONS)
            turns[name].append(found)
    memory = {name: load.worker_megabytes(side.program) for name, side in sides.items()}
    return table.single_rows(turns, {name: table.Standing(ready[name], memory[name]) for name in sides})


def _json_rows(sides: Mapping[str, Side], graph: Path, folder: Path, seconds: int) -> list[str]:
    """1,000 rows a request, beside parsing and asking alone."""
    asked = {name: sides[name] for name in (OURS, BY_HAND, "FastAPI by hand, tuned")}
    body = load.json_body(sides[OURS], JSON_ROWS)
    limit = limits.json_and_graph(graph, body, JSON_ROWS)
    turns: dict[str, list[float]] = {"msgspec + onnxruntime alone": [], **{name: [] for name in asked}}
    for _ in range(TURNS):
        turns["msgspec + onnxruntime alone"].append(limits.calls_a_second(limit, seconds / 2) * JSON_ROWS)
        for name, side in asked.items():
            found = load.put_load(side, body, folder, seconds=seconds, connections=BULK_CONNECTIONS)
            turns[name].append(found.rate * JSON_ROWS)
    return table.many_rows(f"{JSON_ROWS:,} rows of JSON a request", turns)


def _arrow(side: Side, graph: Path, folder: Path, seconds: int) -> list[str]:
    """Arrow streams, beside asking alone in batches of 1,024; only the limit if the service takes none."""
    alone = f"onnxruntime alone, {BATCH_ROWS:,}"
    limit = limits.graph_alone(graph, BATCH_ROWS)
    bodies = {f"ours, {rows:,} rows a request": (rows, limits.arrow_body(rows)) for rows in (BATCH_ROWS, STREAM_ROWS)}
    status, _ = post(side.port, side.path, limits.arrow_body(1), **{"content-type": ARROW})
    offered = bodies if status == 200 else {}
    turns: dict[str, list[float]] = {alone: [], **{name: [] for name in offered}}
    for _ in range(TURNS):
        turns[alone].append(limits.calls_a_second(limit, seconds / 2) * BATCH_ROWS)
        for name, (rows, body) in offered.items():
            found = load.put_load(side, body, folder, seconds=seconds, connections=BULK_CONNECTIONS, kind=ARROW)
            turns[name].append(found.rate * rows)
    lines = table.many_rows("Arrow stream", turns)
    return lines if offered else [*lines, f"{'ours':<{table.WIDTH}}not offered: it answers {status}"]


if __name__ == "__main__":
    main()

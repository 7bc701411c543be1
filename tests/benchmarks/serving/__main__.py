"""What a request costs: our service beside others that answer with the same graph, all in one run on loopback.

    python -m tests.benchmarks.serving [seconds]

One worker each. The sides take turns of some seconds, so that another busy process hurts all alike; look at the ratios,
the numbers themselves belong to the machine. Ours checks every row, writes each prediction to the ledger and counts it.
The first table is one row a request over 16 connections: medians of the turns, `CPU us` a request of all processes of
the side, `MB` of the worker that answers after the load, `ready s` from start to ready with nothing else starting. The
next are rows a second of large requests over two connections, as shares of what one thread does without any HTTP. The
last is what the service is meant to reach; a ratio there is the median of those of the turns.
"""

import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.serving import limits, load, table
from tests.benchmarks.serving.network import save_graph
from tests.benchmarks.serving.sides import BY_HAND, MLFLOW, NO_LEDGER, OURS, Side, all_sides, ours
from tests.benchmarks.serving.table import Goal

TABLE = Path(__file__).parents[1] / "results" / "serving.txt"
TURNS = 3
# More turns for the sides that are compared most narrowly.
CLOSE, CLOSE_TURNS = (NO_LEDGER, OURS, BY_HAND), 3
STARTS = 3
CONNECTIONS = 16
BULK_CONNECTIONS = 2  # one is read while the other is answered
JSON_ROWS, BATCH_ROWS, STREAM_ROWS = 1_000, 1_024, 8_192
ARROW = "application/vnd.apache.arrow.stream"
JSON_ALONE, GRAPH_ALONE = "msgspec + onnxruntime alone", f"onnxruntime alone, {BATCH_ROWS:,}"
# Nothing of these is needed to answer; each takes seconds to import.
UNWANTED = {"torch", "prefect", "lightning", "pytorch_lightning", "evidently"}


@dataclass
class Found:
    """What one run found.

    Attributes:
        ready: Seconds from start to ready, by side.
        imported: What our processes imported until then.
        memory: MB of the worker that answers, by side.
        single: Turns of one row a request, by side.
        many: Turns of rows a second, by side or limit: JSON, then Arrow.
    """

    ready: dict[str, float] = field(default_factory=dict)
    imported: set[str] = field(default_factory=set)
    memory: dict[str, float] = field(default_factory=dict)
    single: dict[str, list[load.Load]] = field(default_factory=dict)
    many: dict[str, dict[str, list[float]]] = field(default_factory=dict)


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
            found = _measure(sides, graph, folder, seconds)
        finally:
            for side in sides.values():
                if side.program.process is not None:
                    side.program.kill()
    text = "\n".join([table.title(f"python -m tests.benchmarks.serving {seconds}"), *_tables(found)]) + "\n"
    print(text, end="")
    TABLE.write_text(text)


def _measure(sides: Mapping[str, Side], graph: Path, folder: Path, seconds: int) -> Found:
    found = Found(imported=load.imported(ours(graph, folder / "traced")))
    found.ready = _start(sides, graph)
    found.single = _single_rows(sides, folder, seconds)
    found.memory = {name: load.worker_megabytes(side.program) for name, side in sides.items()}
    found.many = {
        f"{JSON_ROWS:,} rows of JSON a request": _json_rows(sides, graph, folder, seconds),
        "Arrow stream": _arrow(sides[OURS], graph, folder, seconds),
    }
    return found


def _start(sides: Mapping[str, Side], graph: Path) -> dict[str, float]:
    """Seconds to ready of each, one after the other; what two sides share is started once, ours some times."""
    ready: dict[int, float] = {}
    tries = []
    for _ in range(STARTS):
        tries.append(load.start(sides[OURS]))
        sides[OURS].program.kill()
    for side in sides.values():
        if side.port not in ready:
            ready[side.port] = load.start(side)
        load.check(side, graph, rows=3)
    return {name: ready[side.port] for name, side in sides.items()} | {OURS: statistics.median(tries)}


def _single_rows(sides: Mapping[str, Side], folder: Path, seconds: int) -> dict[str, list[load.Load]]:
    bodies = {name: load.json_body(side, 1) for name, side in sides.items()}
    for name, side in sides.items():  # one second that does not count: caches, arenas, first garbage collections
        load.put_load(side, bodies[name], folder, seconds=1, connections=CONNECTIONS)
    turns: dict[str, list[load.Load]] = {name: [] for name in sides}
    for names in [tuple(sides)] * TURNS + [CLOSE] * CLOSE_TURNS:
        for name in names:
            found = load.put_load(sides[name], bodies[name], folder, seconds=seconds, connections=CONNECTIONS)
            turns[name].append(found)
    return turns


def _json_rows(sides: Mapping[str, Side], graph: Path, folder: Path, seconds: int) -> dict[str, list[float]]:
    """1,000 rows a request, beside parsing and asking alone."""
    asked = {name: sides[name] for name in (OURS, BY_HAND, "FastAPI by hand, tuned")}
    body = load.json_body(sides[OURS], JSON_ROWS)
    limit = limits.json_and_graph(graph, body, JSON_ROWS)
    turns: dict[str, list[float]] = {JSON_ALONE: [], **{name: [] for name in asked}}
    for _ in range(TURNS):
        turns[JSON_ALONE].append(limits.calls_a_second(limit, seconds / 2) * JSON_ROWS)
        for name, side in asked.items():
            found = load.put_load(side, body, folder, seconds=seconds, connections=BULK_CONNECTIONS)
            turns[name].append(found.rate * JSON_ROWS)
    return turns


def _arrow(side: Side, graph: Path, folder: Path, seconds: int) -> dict[str, list[float]]:
    """Arrow streams, beside asking alone in batches of 1,024."""
    limit = limits.graph_alone(graph, BATCH_ROWS)
    bodies = {_arrow_name(rows): (rows, limits.arrow_body(rows)) for rows in (BATCH_ROWS, STREAM_ROWS)}
    turns: dict[str, list[float]] = {GRAPH_ALONE: [], **{name: [] for name in bodies}}
    for _ in range(TURNS):
        turns[GRAPH_ALONE].append(limits.calls_a_second(limit, seconds / 2) * BATCH_ROWS)
        for name, (rows, body) in bodies.items():
            found = load.put_load(side, body, folder, seconds=seconds, connections=BULK_CONNECTIONS, kind=ARROW)
            turns[name].append(found.rate * rows)
    return turns


def _arrow_name(rows: int) -> str:
    return f"ours, {rows:,} rows a request"


def _tables(found: Found) -> list[str]:
    standing = {name: table.Standing(found.ready[name], found.memory[name]) for name in found.single}
    lines = table.single_rows(found.single, standing)
    for head, turns in found.many.items():
        lines += ["", *table.many_rows(head, turns)]
    return [*lines, "", *table.goals(_goals(found))]


def _goals(found: Found) -> list[Goal]:
    rates = {name: [one.rate for one in turns] for name, turns in found.single.items()}
    p99 = {name: [one.p99_ms for one in turns] for name, turns in found.single.items()}
    json_turns, arrow_turns = found.many.values()
    return [
        Goal(f"one row: requests/s, / {BY_HAND}", table.ratio(rates, OURS, BY_HAND), 1.2),
        Goal(f"one row: p99, / {BY_HAND}", table.ratio(p99, OURS, BY_HAND), 1.0, at_least=False),
        Goal(f"one row: requests/s, / {MLFLOW}", table.ratio(rates, OURS, MLFLOW), 15),
        Goal(f"{JSON_ROWS:,} rows of JSON: rows/s, / {JSON_ALONE}", table.ratio(json_turns, OURS, JSON_ALONE), 0.5),
        *(
            Goal(
                f"Arrow, {rows:,} rows: / {GRAPH_ALONE}", table.ratio(arrow_turns, _arrow_name(rows), GRAPH_ALONE), 0.5
            )
            for rows in (BATCH_ROWS, STREAM_ROWS)
        ),
        Goal("start to ready, s", found.ready[OURS], 3, at_least=False),
        Goal("imported: torch, Lightning, Prefect, Evidently", len(found.imported & UNWANTED), 0, at_least=False),
        Goal("worker after the load, MB", found.memory[OURS], 400, at_least=False),
        Goal(
            "share of the requests/s that the ledger costs",
            1 - table.ratio(rates, OURS, NO_LEDGER),
            0.1,
            at_least=False,
        ),
    ]


if __name__ == "__main__":
    main()

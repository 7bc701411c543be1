"""What no service can be faster than: the work itself, in one process and on one thread, without HTTP."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from tests.benchmarks.serving.network import COLUMNS, OUTPUTS, columns, open_session


def json_and_graph(graph: Path, body: bytes, rows: int) -> Callable[[], Any]:
    """Parse the rows of one request with msgspec, and ask the graph; its columns are made beforehand."""
    row = msgspec.defstruct("Row", [(name, float) for name in COLUMNS], gc=False)
    decoder = msgspec.json.Decoder(msgspec.defstruct("Asked", [("rows", list[row])]))  # type: ignore[valid-type]
    ask = graph_alone(graph, rows)
    return lambda: (decoder.decode(body), ask())


def graph_alone(graph: Path, rows: int) -> Callable[[], Any]:
    """Ask the graph for rows that stand ready in memory."""
    session, fed = open_session(graph), columns(rows)
    return lambda: session.run(OUTPUTS, fed)


def arrow_body(rows: int) -> bytes:
    """The rows as one Arrow stream, a batch of 1,024 after the other."""
    table, sink = pa.table(columns(rows)), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=1024)
    return bytes(sink.getvalue())


def calls_a_second(work: Callable[[], Any], seconds: float) -> float:
    """How often a second it can be done, one after the other."""
    work()
    begun, calls = time.perf_counter(), 0
    while (gone := time.perf_counter() - begun) < seconds:
        work()
        calls += 1
    return calls / gone

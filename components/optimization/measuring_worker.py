"""The process in which one variant is measured: `python -m components.optimization.measuring_worker JOB.json`.

It holds the variant's engine and next to nothing else, so its memory is the variant's own. It is told what to do line
by line, so that variants can take turns, and answers each line on stdout with one line of JSON:

    ready                nothing, but the answer says that it has started
    load                 open the variant and let it answer one row
    run ROWS SECONDS     ask it for that many rows a call, again and again, for so long
    report               its footprint until now, as `Footprint` has it

It ends when stdin does: however the flow dies, it leaves no process behind.
"""

import itertools
import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from components.cost.memory import peak_mb
from components.data.feeds import feeds
from components.errors import EverfitError
from components.optimization.engines import Columns, Engine, open_engine
from components.records.models import Variant
from components.records.rows import Schema

NANOSECONDS_PER_MS, NANOSECONDS_PER_SECOND = 1e6, 1e9
# In a turn, however short: a model that takes seconds for 1,024 rows is measured too.
FEWEST_CALLS = 3


@dataclass(slots=True)
class Measuring:
    """One variant, its rows, and the times of all calls so far.

    Attributes:
        variant: What is measured.
        columns: Raw columns, as many rows as the largest call has.
        engine: The variant, once it was loaded.
        load_ms: From the file to its first answer.
        wall: Rows a call to the nanoseconds that each call took, of all turns.
        busy: The same in nanoseconds of processor time.
    """

    variant: Variant
    columns: Columns
    engine: Engine | None = None
    load_ms: float = 0.0
    wall: dict[int, list[int]] = field(default_factory=dict)
    busy: dict[int, list[int]] = field(default_factory=dict)

    def load(self) -> None:
        """Open the variant and let it answer one row."""
        start = time.perf_counter_ns()
        self.engine = open_engine(self.variant)
        self.engine.run(self._batch(0, 1))
        self.load_ms = (time.perf_counter_ns() - start) / NANOSECONDS_PER_MS

    def run(self, rows: int, seconds: float) -> None:
        """Ask for that many rows a call for so long, each time other ones; the turn's first call is not counted."""
        assert self.engine is not None
        batches = [self._batch(start, rows) for start in range(0, self._height() - rows + 1, rows)]
        self.engine.run(batches[-1])
        wall, busy = self.wall.setdefault(rows, []), self.busy.setdefault(rows, [])
        until, fewest = time.perf_counter() + seconds, len(wall) + FEWEST_CALLS
        for batch in itertools.cycle(batches):
            start, start_busy = time.perf_counter_ns(), time.process_time_ns()
            self.engine.run(batch)
            busy.append(time.process_time_ns() - start_busy)
            wall.append(time.perf_counter_ns() - start)
            if time.perf_counter() > until and len(wall) >= fewest:
                break

    def report(self) -> dict[str, Any]:
        """The footprint: latencies on the wall clock, rows a second of a thread that has a core to itself.

        Rows a second decide which variant is chosen, so they come from processor time. With five busy processes on two
        cores those of one graph varied by 5 to 14 % in six tries; from the wall clock, by a factor of up to 2.9.
        """
        latencies = []
        for rows, times in self.wall.items():
            p50, p99 = np.percentile(times, [50, 99]) / NANOSECONDS_PER_MS
            latencies.append({"rows": rows, "p50_ms": float(p50), "p99_ms": float(p99)})
        most = max(self.busy)
        return {
            "latencies": latencies,
            "rows_per_second": most / float(np.median(self.busy[most])) * NANOSECONDS_PER_SECOND,
            "load_ms": self.load_ms,
            "peak_mb": peak_mb(),
        }

    def _height(self) -> int:
        return len(next(iter(self.columns.values())))

    def _batch(self, start: int, rows: int) -> Columns:
        return {name: values[start : start + rows] for name, values in self.columns.items()}


def _measuring(job: Path) -> Measuring:
    facts = json.loads(job.read_text(encoding="utf-8"))
    schema = Schema.from_json(json.dumps(facts["variant"].pop("schema")))
    variant = Variant(**{**facts["variant"], "path": Path(facts["variant"]["path"])}, schema=schema)
    columns = json.loads(Path(facts["rows"]).read_text(encoding="utf-8"))
    return Measuring(variant, feeds(columns, schema))


def _obey(measuring: Measuring, line: str) -> dict[str, Any]:
    command, *arguments = line.split()
    if command == "load":
        measuring.load()
    elif command == "run":
        measuring.run(int(arguments[0]), float(arguments[1]))
    return measuring.report() if command == "report" else {}


def main(arguments: list[str]) -> int:
    """Obey until stdin ends; the exit status."""
    # What a library says on stdout would be taken for an answer: it goes to stderr, answers go to a copy of stdout.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        try:
            measuring = _measuring(Path(arguments[0]))
            for line in sys.stdin:
                answers.write(json.dumps(_obey(measuring, line)) + "\n")
                answers.flush()
        except EverfitError as err:
            print(err, file=sys.stderr, flush=True)  # noqa: T201 - the sentence that the parent logs
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

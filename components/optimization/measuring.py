"""What each variant costs on this machine: latency, rows a second, cold load and memory, in a process of its own.

The variants take turns, some milliseconds each, so that what else the machine is doing falls on all of them alike. How
good their answers are is not asked here.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import polars

from components.data.feeds import feeds
from components.optimization.engines import Columns, open_engine
from components.records.jsonable import to_jsonable
from components.records.models import Footprint, Latency, Variant
from components.records.rows import Part, Schema
from components.settings.optimization import OptimizationSettings

log = logging.getLogger(__name__)

CALLS_OF_ROWS = (1, 32, 1_024)
# Turns of each variant at each batch size: a hiccup of the machine spoils one of them, not the median of all.
TURNS = 5
# For one command beyond the time it was given: a first answer within this long, or the process is given up.
PATIENCE_SECONDS = 60.0
BATCH_ROWS = 8_192


def measure(variants: Sequence[Variant], part: Part, settings: OptimizationSettings) -> tuple[Variant, ...]:
    """The variants with their footprints, in their order; one whose process died stays without.

    A variant of another engine than onnxruntime also gets a Parquet file with its answers to the part's rows, since
    only this room can run it.

    Args:
        variants: What was built.
        part: The validation rows; repeated where they are fewer than 1,024.
        settings: How many seconds each batch size of a variant is measured.
    """
    if not variants:
        return ()
    with tempfile.TemporaryDirectory(prefix="everfit-measure-") as name, ExitStack() as stack:
        folder = Path(name)
        rows = _write_rows(part, variants[0].schema, folder)
        workers = [stack.enter_context(Worker(variant, rows, folder)) for variant in variants]
        # All have started before one loads: what costs is not measured beside processes that import.
        for command in ("ready", "load"):
            for worker in workers:
                worker.ask(command)
        for _ in range(TURNS):
            _take_turns(workers, settings.measure_seconds / TURNS)
        return tuple(_measured(worker, part) for worker in workers)


def _take_turns(workers: Sequence["Worker"], seconds: float) -> None:
    for rows in CALLS_OF_ROWS:
        for worker in workers:
            worker.ask(f"run {rows} {seconds}", seconds)


def _measured(worker: "Worker", part: Part) -> Variant:
    """The variant with what its process found."""
    facts = worker.ask("report")
    if facts is None:
        log.warning("variant not measured name=%s reason=%s", worker.variant.name, worker.last_words())
        return replace(worker.variant, footprint=None)
    latencies = tuple(Latency(**latency) for latency in facts.pop("latencies"))
    footprint = Footprint(latencies=latencies, **facts)
    log.info(
        "variant measured name=%s p99_ms=%.3f rows_per_second=%.0f load_ms=%.0f peak_mb=%.0f",
        *(worker.variant.name, footprint.at(1).p99_ms, footprint.rows_per_second, footprint.load_ms, footprint.peak_mb),
    )
    answers = None if worker.variant.engine == "onnxruntime" else _keep_answers(worker.variant, part)
    return replace(worker.variant, footprint=footprint, answers=answers)


def _write_rows(part: Part, schema: Schema, folder: Path) -> Path:
    """As many rows as the largest call has, evenly from the part, as JSON: the process needs no polars to read it."""
    frame = polars.read_parquet(part.path, columns=[column.name for column in schema.features])
    wanted = max(CALLS_OF_ROWS)
    places = np.arange(wanted) * frame.height // wanted if frame.height >= wanted else np.arange(wanted) % frame.height
    columns = feeds(frame[places], schema)
    path = folder / "rows.json"
    path.write_text(json.dumps({name: values.tolist() for name, values in columns.items()}), encoding="utf-8")
    return path


def _keep_answers(variant: Variant, part: Part) -> Path:
    """The engine's answers to all rows of the part, beside the graph."""
    engine = open_engine(variant)
    columns = feeds(polars.read_parquet(part.path), variant.schema)
    batches = [engine.run(_slice(columns, start)) for start in range(0, part.rows, BATCH_ROWS)]
    answers = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    path = variant.path.with_name(f"{variant.name}.answers.parquet")
    polars.DataFrame(answers).write_parquet(path)
    return path


def _slice(columns: Columns, start: int) -> Columns:
    return {name: values[start : start + BATCH_ROWS] for name, values in columns.items()}


class Worker:
    """The process that measures one variant; after it died it answers None to everything."""

    def __init__(self, variant: Variant, rows: Path, folder: Path) -> None:
        """Start the process.

        Args:
            variant: What it measures.
            rows: JSON file with the raw columns.
            folder: For the job and what the process says.
        """
        self.variant = variant
        job, self._said = folder / f"{variant.name}.json", folder / f"{variant.name}.log"
        facts = to_jsonable(replace(variant, path=variant.path.resolve(), footprint=None, answers=None))
        job.write_text(json.dumps({"variant": facts, "rows": str(rows)}), encoding="utf-8")
        with self._said.open("w", encoding="utf-8") as stderr:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "components.optimization.measuring_worker", str(job)],
                env=_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                encoding="utf-8",
            )

    def ask(self, command: str, seconds: float = 0.0) -> dict[str, Any] | None:
        """What the process answers; None if it died, or did not answer within those seconds and some patience."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = threading.Timer(seconds + PATIENCE_SECONDS, self._process.kill)
        timer.start()
        try:
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            return None
        finally:
            timer.cancel()
        found: dict[str, Any] | None = json.loads(answer) if answer.endswith("\n") else None
        return found

    def last_words(self) -> str:
        """How the process ended, and the last line it said."""
        status = self._process.wait()
        said = self._said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"its process ended with status {status}: {said[-1] if said else 'nothing said'}"

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                log.debug("process was gone before its last command variant=%s", self.variant.name)


def _environment() -> dict[str, str]:
    """This process's environment with its import path; one thread for whatever library looks there, no reporting."""
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}

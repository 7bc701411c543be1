"""What the report of one window costs: reading it from the ledger, measuring it, writing its page.

    python tests/benchmarks/window_report.py

Each size runs in a process of its own, so that its peak memory is its own. The ledger's Delta tables are filled first,
with the types that a compaction gives them; the window is read by `read_window` and measured by `measure`, beside the
training rows and, for the largest size, beside the window before it in the ledger.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

SIZES = (10_000, 100_000, 1_000_000)
NUMBERS, CATEGORIES = 15, 5
WANTED_SECONDS, WANTED_MB = 60, 2_000
START = datetime(2026, 3, 1, tzinfo=UTC)
CHUNK = 250_000
# Which function is which part of the work: module, name, what it is called in the table.
PARTS = (
    ("measure", "sort_columns", "count"),
    ("measure", "measure_sizes", "drift"),
    ("report", "draw_drift", "draw"),
    ("measure", "judged", "p-values"),
    ("measure", "importances", "importance"),
    ("measure", "breaks_of", "schema"),
    ("measure", "answer_facts", "answers"),
    ("measure", "tell", "page"),
)


def names() -> tuple[list[str], list[str]]:
    """Names of the columns: numbers, then categories, of which one has a long tail and one holds sentences."""
    return [f"number_{at}" for at in range(NUMBERS)], [f"category_{at}" for at in range(CATEGORIES)]


def features(rows: int, seed: int) -> dict[str, Any]:
    """Made features; a twentieth of each number is missing."""
    rng = np.random.default_rng(seed)
    numbers, categories = names()
    made: dict[str, Any] = {}
    for name in numbers:
        values = rng.normal(0, 1, rows)
        values[rng.random(rows) < 0.05] = np.nan
        made[name] = pl.Series(values).fill_nan(None)
    for name, many in zip(categories, (3, 12, 100, 20_000), strict=False):
        made[name] = pl.Series(rng.integers(0, many, rows)).cast(pl.String)
    words = pl.Series(rng.integers(0, 5_000, (rows, 6)).astype(str).tolist(), dtype=pl.List(pl.String))
    made[categories[-1]] = ("a sentence of " + words.list.join(" and ")).alias("text")
    return made


def fill(ledger: Path, rows: int, window_days: int) -> None:
    """Two windows of so many rows in the ledger's tables, four of five with a label."""
    from deltalake import write_deltalake

    from components.data.batches import INPUT, OUTPUT
    from components.data.compaction import table_path
    from components.data.ledger import LABELS, PREDICTIONS

    for first in range(0, 2 * rows, CHUNK):
        count = min(CHUNK, 2 * rows - first)
        rng = np.random.default_rng(first)
        ids = pl.Series([f"{first + row:032x}" for row in range(count)])
        step = timedelta(days=window_days) / rows
        at = pl.Series([START + (first + row) * step for row in range(count)], dtype=pl.Datetime("us", "UTC"))
        chance = rng.random(count)
        common = {"prediction_id": ids, "request_id": ids, "received_at": at}
        predictions = pl.DataFrame(
            common
            | {"event_time": at, "entity_id": ids, "model": ["made"] * count, "version": [1] * count}
            | {"variant": ["champion"] * count, "config_sha256": ["0" * 64] * count, "latency_ms": [1.5] * count}
            | {INPUT + name: values for name, values in features(count, first).items()}
            | {OUTPUT + "prediction": (chance > 0.5).astype(int), OUTPUT + "probability": chance}
        )
        labelled = pl.DataFrame(
            common
            | {"label": (rng.random(count) < chance).astype(float), "segment": ["made"] * count}
            | {"position": pl.int_range(count, eager=True)}
        ).filter(pl.int_range(pl.len()) % 5 != 0)
        write_deltalake(table_path(ledger, PREDICTIONS), predictions, mode="append")
        write_deltalake(table_path(ledger, LABELS), labelled, mode="append")


def version_files(folder: Path) -> Any:
    """A version whose answer rises with the first number, and 5,000 of the rows it learned from."""
    import onnx
    from onnx import TensorProto, helper

    from components.records.models import ModelFiles, ModelVersion
    from components.records.rows import Column, Schema

    numbers, categories = names()
    inputs = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["rows"]) for name in numbers]
    inputs += [helper.make_tensor_value_info(name, TensorProto.STRING, ["rows"]) for name in categories]
    nodes = [
        helper.make_node("Sigmoid", [numbers[0]], ["chance"]),
        helper.make_node("Cast", ["chance"], ["probability"], to=TensorProto.FLOAT),
        helper.make_node("Round", ["chance"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["prediction"], to=TensorProto.INT64),
    ]
    outputs = [
        helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["rows"]),
        helper.make_tensor_value_info("prediction", TensorProto.INT64, ["rows"]),
    ]
    graph = helper.make_graph(nodes, "made", inputs, outputs)
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), folder / "model.onnx")
    pl.DataFrame(features(5_000, 1)).write_parquet(folder / "reference.parquet")
    columns = [Column(name, "number") for name in numbers] + [Column(name, "category") for name in categories]
    schema = Schema(tuple(columns), "late", "binary", "at", id="row")
    version = ModelVersion("made", 1, "run", "0" * 64)
    return ModelFiles(version, folder / "model.onnx", schema, folder / "reference.parquet", {"roc_auc": 0.7}, "0" * 64)


def reported(folder: Path, rows: int, reference: str) -> dict[str, float]:
    """Seconds by part, peak memory and size of the page, of one report in this process."""
    from components.data.baselines import baseline
    from components.data.windows import read_window
    from components.monitoring import measure as measuring
    from components.monitoring import report
    from components.records.watching import Window
    from components.settings.project import Project

    days = timedelta(days=7)
    window = Window(START + days, START + 2 * days)
    files = version_files(folder)
    source = {"class_path": "components.data.sources.Csv"}
    project = Project.model_validate(
        {
            "name": "made",
            "data": {"source": source, "target": {"column": "late", "kind": "binary"}, "timestamp": "at", "id": "row"},
            "evaluation": {"metric": "roc_auc"},
            "monitoring": {"reference": reference},
            "file": folder / "made.yaml",
            "sha256": "0" * 64,
        }
    )
    spent: dict[str, float] = {}
    modules = {"measure": measuring, "report": report}
    for module, name, part in PARTS:
        _clock(modules[module], name, part, spent)
    begun, worked = time.perf_counter(), time.process_time()
    frame = read_window(folder / "ledger", window, schema=files.schema)
    spent["read"] = time.perf_counter() - begun
    assert frame.height == rows, f"the window must hold {rows:,} rows, but holds {frame.height:,}"
    beside = baseline(project, files.schema, window, ledger=folder / "ledger", tables=folder / "tables")
    spent["reference"] = time.perf_counter() - begun - spent["read"]
    facts = measuring.measure(
        frame, files, project, window, workspace=folder / "evidently", out=folder / "reports", baseline=beside
    )
    spent |= {"all": time.perf_counter() - begun, "cpu": time.process_time() - worked}
    assert facts.reference == reference
    assert len(facts.columns) == NUMBERS + CATEGORIES
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return spent | {"peak_mb": peak, "page_mb": Path(facts.report).stat().st_size / 1e6}


def _clock(module: ModuleType, name: str, part: str, spent: dict[str, float]) -> None:
    """Measures what one function takes, wherever that module calls it."""
    timed: Callable[..., Any] = getattr(module, name)

    def clocked(*args: Any, **named: Any) -> Any:
        begun = time.perf_counter()
        try:
            return timed(*args, **named)
        finally:
            spent[part] = spent.get(part, 0.0) + time.perf_counter() - begun

    setattr(module, name, clocked)


def table(results: dict[int, dict[str, float]], reference: str) -> str:
    """The results as people read them, what is wanted beside the largest size."""
    parts = ["read", "reference", *(part for *_, part in PARTS), "rest"]
    lines = [
        f"beside: {reference}, {NUMBERS + CATEGORIES} columns; seconds of wall time by part",
        f"{'rows':>10}" + "".join(f"{part:>11}" for part in [*parts, "all (s)", "CPU (s)", "peak (MB)", "page (MB)"]),
    ]
    for rows, found in results.items():
        found["rest"] = found["all"] - sum(found.get(part, 0.0) for part in parts[:-1])
        cells = [found.get(part, 0.0) for part in parts]
        lines.append(
            f"{rows:>10,}"
            + "".join(f"{cell:>11.2f}" for cell in cells)
            + f"{found['all']:>11.1f}{found['cpu']:>11.1f}{found['peak_mb']:>11,.0f}{found['page_mb']:>11.1f}"
        )
    lines.append(f"{'wanted':>10}{'':>{11 * len(parts)}}{WANTED_SECONDS:>11,}{'':>11}{WANTED_MB:>11,}")
    return "\n".join(lines)


def main() -> None:
    """Prints the table, or, where a size is given, the figures of that size alone."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int)
    asked.add_argument("--folder", type=Path)
    asked.add_argument("--fill", action="store_true")
    asked.add_argument("--reference", default="training", choices=["training", "previous"])
    given = asked.parse_args()
    if given.rows:
        if given.fill:
            fill(given.folder / "ledger", given.rows, 7)
        else:
            print(json.dumps(reported(given.folder, given.rows, given.reference)))
        return
    print(table(measured(SIZES, "training"), "training"))
    print(table(measured(SIZES[-1:], "previous"), "previous"))


def measured(sizes: Sequence[int], reference: str) -> dict[int, dict[str, float]]:
    """The figures of each size, of a process of its own."""
    results: dict[int, dict[str, float]] = {}
    for rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            command = [
                sys.executable,
                __file__,
                "--rows",
                str(rows),
                "--folder",
                folder,
                "--reference",
                reference,
            ]
            subprocess.run([*command, "--fill"], check=True)
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            results[rows] = json.loads(done.stdout.splitlines()[-1])
    return results


if __name__ == "__main__":
    main()

"""What a batch costs beside onnxruntime alone on the same rows, which then lie in memory as the graph takes them.

    python tests/benchmarks/batch.py [ROWS]

Both sides ask on one thread, 1,024 rows at a time. Ours reads Parquet, checks every value, writes Parquet, and in the
last column of each pair also keeps every row in the ledger. Processor time is what counts where others use the machine
too; wall time stands beside it. `numbers` is the network of 20 numbers of the endpoint's benchmark, `flights` the same
network with four of its columns texts: a carrier, an airport, another one, and a tail number.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pyarrow as pa
from onnx import TensorProto, helper
from pyarrow import parquet

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from components.data.feeds import texts  # noqa: E402 - the repository's root must be found first
from components.records.models import ModelFiles  # noqa: E402
from components.records.rows import Column, Schema  # noqa: E402
from components.serving.batch import predict_file  # noqa: E402
from components.serving.predictor import BATCH_ROWS  # noqa: E402
from tests.benchmarks.serving import network  # noqa: E402
from tests.components.serving import tiny  # noqa: E402

ROWS = 1_000_000
ROUNDS = 3
TEXTS = {"x16": 16, "x17": 3, "x18": 105, "x19": 4_000}  # column to how many words it knows
FEW_ROWS = 4_096


class Cost(NamedTuple):
    """Seconds of the processor and of the wall clock."""

    cpu: float
    wall: float


def main(rows: int) -> None:
    """The table."""
    print(f"$ python tests/benchmarks/batch.py {rows}    # {os.cpu_count()} cores, x86-64; {time.strftime('%Y-%m-%d')}")
    heads = ("without ledger: cpu", "wall", "with: cpu", "wall")
    print(f"{'':10}{'onnxruntime alone, rows a cpu s':>34}{heads[0]:>22}{heads[1]:>8}{heads[2]:>12}{heads[3]:>8}")
    for name, make in (("numbers", _numbers), ("flights", _flights)):
        with tempfile.TemporaryDirectory() as folder:
            alone, plain, kept = _measured(Path(folder), make, rows)
        shares = [f"{alone.cpu / plain.cpu:.2f}", f"{alone.wall / plain.wall:.2f}"]
        shares += [f"{alone.cpu / kept.cpu:.2f}", f"{alone.wall / kept.wall:.2f}"]
        print(
            f"{name:10}{rows / alone.cpu:>34,.0f}{shares[0]:>22}{shares[1]:>8}{shares[2]:>12}{shares[3]:>8}", flush=True
        )


def _measured(folder: Path, make: Callable[[Path, int], Any], rows: int) -> tuple[Cost, Cost, Cost]:
    """Best of some rounds of onnxruntime alone, of a batch, and of a batch with the ledger; all in turn."""
    files, fed, source = make(folder, rows)
    session = network.open_session(files.graph)

    def alone() -> None:
        for start in range(0, rows, BATCH_ROWS):
            some = {name: values[start : start + BATCH_ROWS] for name, values in fed.items()}
            session.run(network.OUTPUTS, some)

    def ours(ledger: Path | None) -> None:
        predict_file(files, source, folder / "answers.parquet", ledger=ledger)

    works = (alone, lambda: ours(None), lambda: ours(folder / "ledger"))
    costs = [[_cost(work) for work in works] for _ in range(ROUNDS)]
    best = [Cost(min(one.cpu for one in side), min(one.wall for one in side)) for side in zip(*costs, strict=True)]
    return best[0], best[1], best[2]


def _cost(work: Callable[[], None]) -> Cost:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Cost(time.process_time() - cpu, time.perf_counter() - wall)


def _numbers(folder: Path, rows: int) -> tuple[ModelFiles, dict[str, Any], Path]:
    fed = network.columns(rows)
    features = tuple(Column(name, "number") for name in network.COLUMNS)
    return _version(folder, network.save_graph(folder / "model.onnx"), features), fed, _source(folder, fed)


def _flights(folder: Path, rows: int) -> tuple[ModelFiles, dict[str, Any], Path]:
    graph = _with_texts(network.save_graph(folder / "model.onnx"))
    features = tuple(Column(name, "category" if name in TEXTS else "number") for name in network.COLUMNS)
    generator = np.random.default_rng(network.SEED)
    columns: dict[str, Any] = network.columns(rows)
    for name, words in TEXTS.items():
        columns[name] = np.array([f"{name}-{word}" for word in range(words)], object)[
            generator.integers(0, words, rows)
        ]
    fed = {name: texts(values) if name in TEXTS else values for name, values in columns.items()}
    return _version(folder, graph, features), fed, _source(folder, columns)


def _with_texts(file: Path) -> Path:
    """The network, with some of its inputs texts that are looked up."""
    model = onnx.load(file)
    for name, words in TEXTS.items():
        keys = [f"{name}-{word}" for word in range(words)]
        looked_up = helper.make_node(
            "LabelEncoder",
            [name],
            [f"{name}_code"],
            domain="ai.onnx.ml",
            keys_strings=keys,
            values_floats=[word / words for word in range(words)],
            default_float=0.0,
        )
        wide = helper.make_node("Cast", [f"{name}_code"], [f"{name}_wide"], to=TensorProto.DOUBLE)
        line = next(node for node in model.graph.node if node.op_type == "Concat")
        line.input[list(line.input).index(name)] = f"{name}_wide"
        for place, node in enumerate((looked_up, wide)):
            model.graph.node.insert(place, node)
        given = next(one for one in model.graph.input if one.name == name)
        given.type.tensor_type.elem_type = TensorProto.STRING
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    onnx.checker.check_model(model)
    onnx.save(model, file)
    return file


def _version(folder: Path, graph: Path, features: tuple[Column, ...]) -> ModelFiles:
    return tiny.packed(folder, graph, Schema(features, "late", "binary", "at", "flight id"), name="bench")


def _source(folder: Path, columns: dict[str, Any]) -> Path:
    """The rows with an id and a time, as a Parquet file with the usual row groups."""
    rows = len(next(iter(columns.values())))
    times = pa.array(np.full(rows, 1_772_323_200_000_000)).cast(pa.timestamp("us", "UTC"))
    table = pa.table(columns | {"at": times, "flight id": np.arange(rows)})
    parquet.write_table(table, folder / "rows.parquet", row_group_size=min(rows, 25 * FEW_ROWS))
    return folder / "rows.parquet"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)

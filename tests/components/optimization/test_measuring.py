"""What a variant costs: the real process, real onnxruntime, graphs of a few operators."""

import json
import logging
import signal
import subprocess
import sys
from dataclasses import replace

import polars
import pytest

from components.data.feeds import feeds
from components.optimization.engines import open_engine
from components.optimization.measuring import Worker, _keep_answers, _write_rows, measure
from components.settings.optimization import OptimizationSettings
from tests.components.optimization.graphs_by_hand import SCHEMA, part, variant

SETTINGS = OptimizationSettings(measure_seconds=0.01)


class Listener(logging.Handler):
    """Keeps what was logged."""

    def __init__(self):
        super().__init__()
        self.said = []

    def emit(self, record):
        """Keep the line."""
        self.said.append(record.getMessage())


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Two good graphs with a broken file between them, measured; and what was logged."""
    folder = tmp_path_factory.mktemp("bench")
    broken = replace(variant("int8_dynamic", folder), path=folder / "broken.onnx")
    broken.path.write_bytes(b"this is no graph")
    variants = [variant("fp32", folder), broken, variant("student", folder)]
    listener, log = Listener(), logging.getLogger("components.optimization.measuring")
    log.addHandler(listener)
    try:
        yield variants, measure(variants, part(folder), SETTINGS), listener.said
    finally:
        log.removeHandler(listener)


def test_each_variant_is_measured_at_each_batch_size(bench):
    """Latencies at 1, 32 and 1,024 rows, though the part has 20; speed, cold load and memory beside them."""
    for footprint in (bench[1][0].footprint, bench[1][2].footprint):
        assert [latency.rows for latency in footprint.latencies] == [1, 32, 1_024]
        assert all(0 < latency.p50_ms <= latency.p99_ms for latency in footprint.latencies)
        assert footprint.rows_per_second > 0
        assert footprint.load_ms > 0


def test_memory_is_that_of_a_process_without_the_rest_of_us(bench):
    """Python, numpy and onnxruntime take some 60 MB; with torch, or the tests around it, it would be hundreds."""
    assert 20 < bench[1][0].footprint.peak_mb < 150


def test_a_variant_that_cannot_run_costs_the_others_nothing(bench):
    """It stays without a footprint, and the log says how its process ended and what it said."""
    before, after, said = bench

    assert [entry.footprint is None for entry in after] == [False, True, False]
    assert [replace(entry, footprint=None) for entry in after] == before
    reason = next(line for line in said if line.startswith("variant not measured name=int8_dynamic"))
    assert "its process ended with status 1:" in reason
    assert "broken.onnx must be a graph that onnxruntime" in reason


def test_a_process_that_was_killed_answers_nothing_more(tmp_path):
    """As the kernel kills what takes too much memory: every later command is answered with None."""
    graph, rows = variant("fp32", tmp_path), _write_rows(part(tmp_path), SCHEMA, tmp_path)
    with Worker(graph, rows, tmp_path) as worker:
        started = worker.ask("load")
        worker._process.kill()

        answers = [worker.ask("run 1 0.01", 0.01), worker.ask("report")]

        assert (started, *answers) == ({}, None, None)
        assert worker.last_words() == "its process ended with status -9: nothing said"


def test_a_process_that_hangs_is_given_up(tmp_path, monkeypatch):
    """It is killed when its time and our patience are over."""
    graph, rows = variant("fp32", tmp_path), _write_rows(part(tmp_path), SCHEMA, tmp_path)
    with Worker(graph, rows, tmp_path) as worker:
        worker.ask("ready")
        worker._process.send_signal(signal.SIGSTOP)
        monkeypatch.setattr("components.optimization.measuring.PATIENCE_SECONDS", 0.1)

        answer = worker.ask("load")

        assert answer is None
        assert worker.last_words().startswith("its process ended with status -9")


def test_the_process_ends_with_the_one_that_started_it(tmp_path):
    """A killed flow closes the pipe: nothing is left behind."""
    graph, rows = variant("fp32", tmp_path), _write_rows(part(tmp_path), SCHEMA, tmp_path)
    with Worker(graph, rows, tmp_path) as worker:
        worker.ask("load")

        worker._process.stdin.close()

        assert worker._process.wait(timeout=60) == 0


def test_the_rows_are_the_parts_own_in_an_even_sample(tmp_path):
    """Of 20 rows each comes about as often as the next; missing and strange values arrive as the graph wants them."""
    path = _write_rows(part(tmp_path), SCHEMA, tmp_path)

    written = json.loads(path.read_text())
    temps, origins = written["temp"], written["origin"]

    wanted = feeds(polars.read_parquet(tmp_path / "validation.parquet"), SCHEMA)
    assert len(temps) == len(origins) == 1_024
    assert origins[:20] == wanted["origin"].tolist()
    assert str(temps[:20]) == str(wanted["temp"].tolist())  # as text: NaN is not equal to itself


def test_nothing_to_measure_is_no_error(tmp_path):
    """No variant, no process."""
    assert measure([], part(tmp_path), SETTINGS) == ()


def test_the_process_needs_none_of_the_heavy_packages():
    """It starts in a fraction of a second, and its memory is the variant's."""
    code = "import sys, components.optimization.measuring_worker\nprint(*{n.partition('.')[0] for n in sys.modules})"

    loaded = set(subprocess.check_output([sys.executable, "-c", code], text=True).split())

    assert "onnxruntime" in loaded
    assert not loaded & {"torch", "lightning", "onnx", "openvino", "polars", "pandas", "pydantic", "mlflow", "prefect"}


def test_the_answers_of_another_engine_are_kept_row_by_row(tmp_path):
    """In the part's order and under the outputs' names, so that evaluation can rate what it cannot run."""
    graph, rows = variant("openvino", tmp_path), part(tmp_path, 9_000)

    kept = polars.read_parquet(_keep_answers(graph, rows))

    wanted = open_engine(graph).run(feeds(polars.read_parquet(rows.path), SCHEMA))
    assert kept.columns == ["prediction", "probability"]
    assert kept["probability"].to_list() == wanted["probability"].tolist()

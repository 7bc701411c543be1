"""Two engines behind one call: the same answers, and nothing loaded that a variant does not need."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars
import pytest

from components.data.feeds import feeds
from components.errors import ModelRefused
from components.optimization.engines import open_engine
from components.optimization.variants import build
from components.settings.optimization import OptimizationSettings
from tests.components.optimization.shipped import learned

ROOT = Path(__file__).parents[3]
SETTINGS = OptimizationSettings(variants=("fp32", "openvino"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    """The variants of a learned binary model by name, and its test rows as raw columns."""
    folder = tmp_path_factory.mktemp("engines")
    fitted, split = learned(folder)
    built, left_out = build(fitted, {}, split, SETTINGS, folder / "out")
    assert not left_out
    return {variant.name: variant for variant in built}, feeds(polars.read_parquet(split.test.path), split.schema)


@pytest.mark.parametrize("rows", [1, 32, 1000])
def test_both_engines_give_the_same_answers(made, rows):
    """OpenVINO behind our front graph answers as onnxruntime does with the whole, call after call."""
    variants, columns = made
    batch = {name: values[:rows] for name, values in columns.items()}
    engines = {name: open_engine(variant) for name, variant in variants.items()}

    engines["openvino"].run({name: values[-7:] for name, values in columns.items()})
    found, wanted = engines["openvino"].run(batch), engines["fp32"].run(batch)

    assert list(wanted) == ["prediction", "probability"]
    np.testing.assert_allclose(found["probability"], wanted["probability"], atol=1e-5)
    assert found["prediction"].shape == wanted["prediction"].shape == (rows,)


def test_an_answer_is_the_callers_own(made):
    """A later call does not change what an earlier one gave."""
    variants, columns = made
    for variant in variants.values():
        engine = open_engine(variant)
        first = engine.run({name: values[:5] for name, values in columns.items()})["probability"]
        kept = first.copy()

        engine.run({name: values[5:10] for name, values in columns.items()})

        np.testing.assert_array_equal(first, kept)


def test_a_file_that_is_no_graph_is_refused(made, tmp_path):
    """The message names the file and what to look for."""
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"not a graph")

    with pytest.raises(ModelRefused, match=r"model\.onnx must be a graph that onnxruntime .* can run"):
        open_engine(replace(made[0]["fp32"], path=broken))


def test_without_openvino_the_message_says_how_to_get_it(made, monkeypatch):
    """Who measures on a machine without the extra is told its name."""
    monkeypatch.setitem(sys.modules, "openvino", None)

    with pytest.raises(ModelRefused, match=r"not installed; pip install 'everfit\[openvino\]'"):
        open_engine(made[0]["openvino"])


def test_a_network_that_openvino_cannot_read_is_refused(made, tmp_path):
    """The message is ours, with OpenVINO's reason in it."""
    variant = made[0]["openvino"]
    (tmp_path / "front.onnx").write_bytes((variant.path.parent / "front.onnx").read_bytes())
    (tmp_path / "network.onnx").write_bytes(b"not a graph")

    with pytest.raises(ModelRefused, match=r"network\.onnx cannot be compiled by OpenVINO"):
        open_engine(replace(variant, path=tmp_path / "model.onnx"))


def test_a_variants_memory_is_its_own(made, tmp_path):
    """Opening one loads neither torch nor onnx, OpenVINO only for its own, and tells nobody that it was imported."""
    graph = made[0]["openvino"].path.parent
    code = (
        "import sys\nfrom pathlib import Path\nfrom components.optimization import engines\n"
        "print(sorted({'torch', 'onnx', 'openvino'} & set(sys.modules)))\n"
        f"engines.OpenVinoEngine(Path({str(graph)!r}), bf16=False)\n"
        "print(sorted({'torch', 'onnx', 'openvino'} & set(sys.modules)), sys.modules['openvino_telemetry'])\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env=os.environ | {"HOME": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout.split("\n")[:2] == ["[]", "['openvino'] None"]
    # Where its telemetry would keep who we are.
    assert not (tmp_path / "intel").exists()

"""One temperature for the logits: found where there is one, kept only if it helps, and part of every variant."""

import re

import numpy as np
import onnx
import polars
import pytest
from sklearn.metrics import log_loss

from components.data.feeds import feeds
from components.errors import SchemaMismatch
from components.optimization.calibration import best_temperature
from components.optimization.engines import open_engine
from components.optimization.variants import build
from components.settings.optimization import OptimizationSettings
from tests.components.optimization.shipped import CLASSES, MEASURED, learned, without

ROWS = 20_000


@pytest.mark.parametrize("temperature", [0.5, 1.7, 4.0])
def test_the_temperature_that_was_put_in_is_found(temperature):
    """Labels drawn from honest logits, which are then made too sure or too unsure: the factor comes out."""
    random = np.random.default_rng(3)
    honest = random.normal(0, 2, (ROWS, 1))
    labels = (random.random(ROWS) < 1 / (1 + np.exp(-honest[:, 0]))).astype(int)

    found = best_temperature(honest * temperature, labels)

    # 2.5 %: with 20,000 labels the factor itself is known to about 1 % (one standard error).
    assert found == pytest.approx(temperature, rel=0.025)


def test_the_temperature_of_several_classes_is_found():
    """The same holds for a softmax over three classes."""
    random = np.random.default_rng(4)
    honest = random.normal(0, 2, (ROWS, 3))
    labels = (honest + random.gumbel(size=honest.shape)).argmax(axis=1)

    assert best_temperature(honest * 2.5, labels) == pytest.approx(2.5, rel=0.025)


def test_a_temperature_that_does_not_help_is_not_kept():
    """Where no temperature beats 1, or logits say nothing, it stays 1."""
    same = np.zeros((10, 1))
    unusable = np.array([[np.inf], [1.0]])

    assert best_temperature(same, np.array([0, 1] * 5)) == 1.0
    assert best_temperature(unusable, np.array([0, 1])) == 1.0
    assert best_temperature(np.zeros((0, 1)), np.zeros(0, int)) == 1.0


@pytest.fixture(scope="module", params=["binary", "multiclass"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Variants of a network that is far too sure, with and without calibration, and the split."""
    folder = tmp_path_factory.mktemp(request.param)
    fitted, split = learned(folder, request.param, sureness=4.0)
    names = ("fp32", "fp16", "int8_static")
    made = {}
    for calibration in ("none", "temperature"):
        settings = OptimizationSettings(variants=names, calibration=calibration)
        made[calibration] = build(fitted, {}, split, settings, folder / calibration)[0]
    return made, split


def test_every_variant_is_calibrated_and_says_so(both):
    """The file of each variant holds the temperature, and its log loss on rows it never saw is clearly lower."""
    made, split = both
    frame, kind = polars.read_parquet(split.test.path), split.schema.target_kind
    labels = [CLASSES.index(name) for name in frame["answer"]] if kind == "multiclass" else frame["answer"].to_list()

    for plain, calibrated in zip(made["none"], made["temperature"], strict=True):
        answers = [open_engine(variant).run(feeds(frame, split.schema)) for variant in (plain, calibrated)]
        before, after = (log_loss(labels, answer[MEASURED[kind]]) for answer in answers)

        assert float(about(calibrated)["temperature"]) > 1.5
        assert about(plain)["temperature"] == "1"
        assert after < before - 0.05, calibrated.name


def test_calibration_changes_no_class_of_the_exact_variant(both):
    """Dividing all logits by one number changes neither the order of rows nor which class is likeliest."""
    made, split = both
    columns = feeds(polars.read_parquet(split.test.path), split.schema)

    plain, calibrated = (open_engine(made[name][0]).run(columns)["prediction"] for name in ("none", "temperature"))

    np.testing.assert_array_equal(plain, calibrated)


def test_a_regression_is_not_calibrated(tmp_path):
    """Values have no temperature: the file is the same to the byte with and without."""
    fitted, split = learned(tmp_path, "regression")

    hashes = {
        calibration: build(
            fitted, {}, split, OptimizationSettings(variants=("fp32",), calibration=calibration), tmp_path / calibration
        )[0][0].sha256
        for calibration in ("none", "temperature")
    }

    assert hashes["none"] == hashes["temperature"]


def test_rows_without_labels_are_refused(tmp_path):
    """Calibration needs labels; the message names the column and the way out."""
    fitted, split = learned(tmp_path)

    with pytest.raises(SchemaMismatch, match=re.escape("'answer'") + ".*or set optimization.calibration: none"):
        build(fitted, {}, without(split, "answer"), OptimizationSettings(variants=("fp32",)), tmp_path / "out")


def about(variant):
    """What the file says about itself."""
    return {entry.key: entry.value for entry in onnx.load(variant.path).metadata_props}

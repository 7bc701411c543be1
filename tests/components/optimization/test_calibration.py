"""One temperature for the logits: found where there is one, kept only if it helps, and part of every variant."""

import re

import numpy as np
import onnx
import polars
import pytest
from sklearn.metrics import log_loss

from components.data.feeds import feeds
from components.errors import SchemaMismatch
from components.optimization.calibration import best_temperature, calibrated
from components.optimization.encoders import read_encoder
from components.optimization.engines import open_engine
from components.optimization.networks import load_network
from components.optimization.variants import build
from components.settings.optimization import OptimizationSettings
from tests.components.optimization.shipped import MEASURED, answers_of_pytorch, learned, without

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
def sure(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Calibrated variants of a network that is far too sure; its own answers to the test rows, and these rows."""
    folder = tmp_path_factory.mktemp(request.param)
    fitted, split = learned(folder, request.param, sureness=4.0)
    settings = OptimizationSettings(variants=("fp32", "fp16", "int8_static"))
    built, left_out = build(fitted, {}, split, settings, folder / "out")
    assert not left_out
    frame = polars.read_parquet(split.test.path)
    return built, answers_of_pytorch(fitted, split, frame), frame, split.schema


def test_every_variant_is_calibrated_and_says_so(sure):
    """The file of each variant holds the temperature, and its log loss on rows it never saw is clearly lower."""
    variants, uncalibrated, frame, schema = sure
    labels = frame["answer"].to_list()
    before = log_loss(labels, uncalibrated)

    for variant in variants:
        answers = open_engine(variant).run(feeds(frame, schema))[MEASURED[schema.target_kind]]
        about = {entry.key: entry.value for entry in onnx.load(variant.path).metadata_props}

        assert log_loss(labels, answers) < before - 0.05, variant.name
        assert float(about["temperature"]) > 1.5


def test_calibration_changes_no_class_of_the_exact_variant(sure):
    """Dividing all logits by one number changes neither the order of rows nor which class is likeliest."""
    variants, uncalibrated, frame, schema = sure
    is_binary = schema.target_kind == "binary"
    wanted = uncalibrated >= 0.5 if is_binary else uncalibrated.argmax(axis=1)

    found = open_engine(variants[0]).run(feeds(frame, schema))["prediction"]

    np.testing.assert_array_equal(found, wanted)


def test_a_regression_is_not_calibrated(tmp_path):
    """Values have no temperature: the network stays what it is."""
    fitted, split = learned(tmp_path, "regression")
    network = load_network(fitted.folder, "regression")
    encoder = read_encoder(fitted.folder / "encoder.json", split.schema)

    assert calibrated(network, encoder, split.validation.path, split.schema) is network


def test_rows_without_labels_are_refused(tmp_path):
    """Calibration needs labels; the message names the column and the way out."""
    fitted, split = learned(tmp_path)

    with pytest.raises(SchemaMismatch, match=re.escape("'answer'") + ".*or set optimization.calibration: none"):
        build(fitted, {}, without(split, "answer"), OptimizationSettings(variants=("fp32",)), tmp_path / "out")

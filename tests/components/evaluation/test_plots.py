"""Pictures: which there are, and that drawing them changes nothing else."""

from concurrent.futures import ThreadPoolExecutor

import matplotlib
import numpy as np
import pytest

from components.evaluation.metrics import measure_all
from components.evaluation.plots import MOST_SLICES, draw_plots, draw_slices
from components.evaluation.predicting import Outputs
from tests.components.evaluation.tiny import BINARY, CLASSES, VALUE

RANDOM = np.random.default_rng(0)
TRUTH = RANDOM.integers(0, 2, 600)
PROBABILITY = np.clip(RANDOM.normal(0.3 + 0.3 * TRUTH, 0.2), 0, 1)
ANSWERS = Outputs((PROBABILITY >= 0.5).astype(int), PROBABILITY)
METRICS = measure_all("binary", TRUTH, ANSWERS.prediction, ANSWERS.probability)


def test_drawing_leaves_matplotlib_as_it_was(tmp_path):
    """Several flows may draw at once in one process: no global setting is changed, and the pictures are the same."""
    before = dict(matplotlib.rcParams)
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda folder: draw_plots(TRUTH, ANSWERS, BINARY, METRICS, folder), folders)

    assert [picture.read_bytes() for picture in one] == [picture.read_bytes() for picture in two]
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(
    ("schema", "truth", "outputs"),
    [
        (BINARY, np.array([0, 1] * 20), Outputs(np.zeros(40, int), np.zeros(40))),
        (BINARY, np.array([0, 1] * 20), Outputs(np.ones(40, int), np.ones(40))),
        (CLASSES, np.zeros(40, int), Outputs(np.full(40, 2), np.tile([0.2, 0.2, 0.6], (40, 1)))),
        (VALUE, np.full(40, 3.0), Outputs(np.full(40, 3.0), None)),
        (VALUE, np.array([1e12, -1e12] * 20), Outputs(np.zeros(40), None)),
    ],
    ids=["all 0", "all 1", "one class", "perfect", "huge"],
)
def test_answers_that_are_all_the_same_are_drawn_too(tmp_path, schema, truth, outputs):
    """A model that has learned nothing, or all, has its pictures."""
    metrics = measure_all(schema.target_kind, truth, outputs.prediction, outputs.probability)

    drawn = draw_plots(truth, outputs, schema, metrics, tmp_path)

    assert drawn
    assert all(path.stat().st_size > 5_000 for path in drawn)


def test_without_metrics_nothing_is_drawn(tmp_path):
    """Rows on which nothing is defined have no picture."""
    assert draw_plots(TRUTH, ANSWERS, BINARY, {}, tmp_path) == ()
    assert draw_slices({"a=1": {"rows": 10.0}}, {}, {}, 0.5, "roc_auc", tmp_path) == ()


def test_of_very_many_slices_the_largest_are_drawn(tmp_path):
    """The picture of 200 slices is as high as that of 24."""
    many = {f"a={n}": {"rows": float(n), "roc_auc": 0.6} for n in range(200)}
    few = {name: many[name] for name in list(many)[-MOST_SLICES:]}
    (tmp_path / "few").mkdir()

    (all_of_them,) = draw_slices(many, {}, {}, 0.6, "roc_auc", tmp_path)
    (largest,) = draw_slices(few, {}, {}, 0.6, "roc_auc", tmp_path / "few")

    assert all_of_them.read_bytes() == largest.read_bytes()

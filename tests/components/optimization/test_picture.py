"""The variants as a picture."""

import itertools
import math

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from components.optimization.picture import Point, _frame, _label, _text_box, draw_variants
from components.records.models import RatedVariant
from components.settings.optimization import BudgetSettings, OptimizationSettings
from tests.components.optimization.graphs_by_hand import measured

CROWD = {
    "fp32": (0.0, 338_000), "fp16": (0.0, 341_000), "int8_dynamic": (-0.0003, 437_000), "openvino": (0.0, 430_000),
    "int8_static": (0.0003, 445_000), "openvino_bf16": (0.0001, 440_000), "pruned": (0.0003, 492_000),
}  # fmt: skip


def rated(folder, points, misses=()):
    """Variants at these losses and speeds."""
    return [
        RatedVariant(measured(name, folder, speed=speed), 0.7 - loss, loss, misses)
        for name, (loss, speed) in points.items()
    ]


def test_names_in_a_crowd_stand_apart(tmp_path):
    """Seven variants within a hair of each other: no label covers another label or a marker."""
    settings, entries = OptimizationSettings(), rated(tmp_path, CROWD)
    figure = Figure(figsize=(8.6, 5.6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    points = [Point(entry, entries, frozenset(), None, settings) for entry in entries]
    _frame(axes, points, settings, "roc_auc")
    figure.draw_without_rendering()

    _label(axes, points)

    labels = [_text_box(label) for label in axes.texts]
    assert len(labels) == 7
    assert not [pair for pair in itertools.combinations(labels, 2) if pair[0].overlaps(pair[1])]
    assert not any(label.count_overlaps([point.box(axes) for point in points]) for label in labels)


def test_one_hopeless_variant_does_not_set_the_scale(tmp_path):
    """It stands at the edge, and its label says the loss that is not drawn."""
    settings, (entry,) = OptimizationSettings(), rated(tmp_path, {"int8_static": (0.2, 400_000)})

    point = Point(entry, [entry], frozenset(), None, settings)

    assert point.up == pytest.approx(3 * settings.budget.max_quality_loss)
    assert point.text.endswith("\nloss 0.2")


@pytest.mark.parametrize(
    ("points", "budget"),
    [
        (CROWD, {"rows_per_second": 350_000}),
        (CROWD, {"rows_per_second": 9e6, "max_quality_loss": 0}),
        ({"fp32": (0.0, 100), "student": (math.nan, 300)}, {}),
        ({"student": (math.nan, 300)}, {}),
    ],
)
def test_whatever_was_measured_a_picture_is_drawn(points, budget, tmp_path):
    """Limits far away, no budget for quality, a variant without a rating, none that can be drawn at all."""
    settings = OptimizationSettings(budget=BudgetSettings(**budget))

    picture = draw_variants(
        tmp_path / "variants.png", rated(tmp_path, points, ("missed",)), frozenset(), None, settings, "roc_auc"
    )

    content = picture.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 10_000

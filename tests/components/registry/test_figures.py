"""The names and numbers that a version's run holds."""

import math
from dataclasses import replace

from components.records.scores import Scorecard
from components.registry.figures import making_figures, score_figures
from tests.components.registry.conftest import Make


def test_every_metric_has_its_interval_margins_gaps_and_failures_beside_it(make: Make):
    """What the scorecard holds can be compared between runs in the MLflow UI."""
    figures = score_figures(make("figures").scorecard)

    assert figures["roc_auc"] == 0.71234
    assert (figures["roc_auc.low"], figures["roc_auc.high"]) == (0.69, 0.73)
    assert figures["margin.linear"] == 0.02
    assert figures["gap.origin.equalized odds"] == 0.1
    assert figures["behaviours.failed"] == 1


def test_every_variant_is_told_with_its_speed_size_and_quality(make: Make):
    """The Pareto table stands in the run as numbers too."""
    made = make("figures")

    figures = making_figures(replace(made.fitted, peak_mb=800.0), made.workshop)

    assert figures["variant.fp32.rows_per_second"] == 100_000
    assert figures["variant.fp32.p99_ms.1"] == 0.02
    assert figures["variant.fp32.quality"] == 0.71
    assert (figures["fit_peak_mb"], figures["memory_ratio"]) == (800, 8.5)


def test_what_was_not_measured_is_not_told(make: Make):
    """A variant whose process died, and a metric that is not defined, leave no number behind."""
    made = make("figures")
    (rated,) = made.workshop.rated
    lost = replace(rated, variant=replace(rated.variant, footprint=None), quality=math.nan)

    figures = making_figures(made.fitted, replace(made.workshop, rated=(lost,), memory_ratio=None))

    assert {name for name in figures if name.startswith("variant.fp32")} == {
        f"variant.fp32.{name}" for name in ("quality_loss", "megabytes", "max_difference", "misses")
    }
    assert "memory_ratio" not in figures
    assert "fit_peak_mb" not in figures


def test_a_name_that_mlflow_does_not_take_is_made_plain():
    """A group may hold any text; its gap is stored all the same."""
    figures = score_figures(Scorecard({}, 1, "f" * 64, gaps={"gruppe(ü)": {"gap": 0.5}}))

    assert figures == {"gap.gruppe___.gap": 0.5}

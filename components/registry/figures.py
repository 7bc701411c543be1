"""All that was measured of one version, as the names and numbers of its MLflow run.

A dot separates what a figure is of from what it is: `roc_auc.low`, `margin.linear`, `variant.int8_static.p99_ms`.
"""

import math
import re

from components.records.models import FittedModel, RatedVariant, Workshop
from components.records.scores import Scorecard

# What MLflow takes in the name of a metric; a slice or a group may hold anything.
FORBIDDEN = re.compile(r"[^\w\-. /:]", re.ASCII)


def score_figures(scorecard: Scorecard) -> dict[str, float]:
    """The scorecard's metrics, each with its interval, its margins over simple models, and its group gaps."""
    figures = dict(scorecard.metrics)
    for name, (low, high) in scorecard.intervals.items():
        figures |= {f"{name}.low": low, f"{name}.high": high}
    figures |= {f"margin.{name}": value for name, value in scorecard.margins.items()}
    for column, gaps in scorecard.gaps.items():
        figures |= {f"gap.{column}.{name}": value for name, value in gaps.items()}
    if scorecard.behaviours:
        figures["behaviours.failed"] = sum(not rule.passed for rule in scorecard.behaviours)
    return _named(figures)


def making_figures(fitted: FittedModel, workshop: Workshop) -> dict[str, float]:
    """What training took, what the served graph is like, and every variant's figures."""
    figures: dict[str, float | None] = {
        "fit_seconds": fitted.seconds,
        "fit_peak_mb": fitted.peak_mb,
        "memory_ratio": workshop.memory_ratio,
        "epochs": fitted.epochs,
        "best_epoch": fitted.best_epoch,
        "best_validation_loss": fitted.validation_loss,
        "parameters": fitted.parameters,
        "graph_megabytes": workshop.chosen.megabytes,
        "graph_max_difference": workshop.chosen.max_difference,
    }
    for rated in workshop.rated:
        figures |= {f"variant.{rated.variant.name}.{name}": value for name, value in _of_variant(rated).items()}
    return _named({name: value for name, value in figures.items() if value is not None})


def _of_variant(rated: RatedVariant) -> dict[str, float]:
    variant, footprint = rated.variant, rated.variant.footprint
    figures = {
        "quality": rated.quality,
        "quality_loss": rated.quality_loss,
        "megabytes": variant.megabytes,
        "max_difference": variant.max_difference,
        "misses": len(rated.misses),
    }
    if footprint is not None:
        figures |= {
            "rows_per_second": footprint.rows_per_second,
            "load_ms": footprint.load_ms,
            "peak_mb": footprint.peak_mb,
        }
        for latency in footprint.latencies:
            figures |= {f"p50_ms.{latency.rows}": latency.p50_ms, f"p99_ms.{latency.rows}": latency.p99_ms}
    return {name: value for name, value in figures.items() if not math.isnan(value)}


def _named(figures: dict[str, float]) -> dict[str, float]:
    return {FORBIDDEN.sub("_", name): float(value) for name, value in figures.items()}

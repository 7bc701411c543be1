"""How differently a model treats the groups that the project file names: gaps, each 0 where all are treated alike.

Which gap matters is for people to say: equal rates of alarms and equal rates of errors exclude each other wherever the
groups differ in how often the answer is yes. No gap says anything about why.
"""

from collections.abc import Callable, Mapping

import numpy as np
import polars

from components.errors import NotEnoughRows
from components.evaluation.metrics import measure
from components.evaluation.predicting import Array, Outputs
from components.evaluation.slicing import declared_slices
from components.records.rows import TargetKind
from components.settings.evaluation import EvaluationSettings

# Truth and prediction of one group's rows to one number; NaN where it is not defined.
Rate = Callable[[Array, Array], float]


def group_gaps(
    frame: polars.DataFrame, truth: Array, outputs: Outputs, kind: TargetKind, settings: EvaluationSettings
) -> dict[str, dict[str, float]]:
    """For each declared group column, the largest difference between two of its groups in each rate.

    Args:
        frame: The rows.
        truth: True answers, shape (rows,).
        outputs: The model's answers to the same rows.
        kind: Kind of the target.
        settings: The group columns, the rows that a group must have, and the deciding metric.

    Returns:
        Column to name of the gap to its size, 0 or more: `<metric>_difference` of the deciding metric for every kind;
        for a binary target `demographic_parity_difference` (share answered 1), `true_positive_rate_difference`,
        `false_positive_rate_difference` and the larger of these two, `equalized_odds_difference`; for a multiclass
        target `error_rate_difference`; for a regression `mean_error_difference` (predicted minus true, in the target's
        unit). A gap that fewer than two groups define is left out.

    Raises:
        SchemaMismatch: If a group column is not there.

    Source:
        Names as in Fairlearn (Bird et al. 2020, MSR-TR-2020-32), fairlearn.metrics; equalised odds: Hardt, Price and
        Srebro (2016), Equality of Opportunity in Supervised Learning, arXiv:1610.02413.
    """
    gaps = {}
    for column in settings.groups:
        masks = declared_slices(frame, (column,), min_rows=settings.slice_rows)
        groups = [_at(truth, outputs, mask) for mask in masks.values()]
        found = {f"{settings.metric}_difference": _gap([_metric(settings.metric, *group) for group in groups])}
        for name, rate in RATES[kind].items():
            found[name] = _gap([rate(true, told) for true, told, _ in groups])
        gaps[column] = {name: size for name, size in _with_odds(found).items() if np.isfinite(size)}
    return gaps


def _at(truth: Array, outputs: Outputs, mask: Array) -> tuple[Array, Array, Array | None]:
    probability = None if outputs.probability is None else outputs.probability[mask]
    return truth[mask], outputs.prediction[mask], probability


def _metric(name: str, truth: Array, prediction: Array, probability: Array | None) -> float:
    try:
        return measure(name, truth, prediction, probability)
    except NotEnoughRows:
        return float("nan")


def _gap(values: list[float]) -> float:
    """The largest of the defined values minus the smallest; NaN with fewer than two."""
    defined = [value for value in values if np.isfinite(value)]
    return max(defined) - min(defined) if len(defined) > 1 else float("nan")


def _with_odds(gaps: dict[str, float]) -> dict[str, float]:
    odds = [gaps[name] for name in ("true_positive_rate_difference", "false_positive_rate_difference") if name in gaps]
    return gaps | ({"equalized_odds_difference": max(odds)} if odds else {})


def _mean_where(chosen: Array, values: Array) -> float:
    return float(values[chosen].mean()) if chosen.any() else float("nan")


RATES: Mapping[TargetKind, Mapping[str, Rate]] = {
    "binary": {
        "demographic_parity_difference": lambda truth, told: float(told.mean()),
        "true_positive_rate_difference": lambda truth, told: _mean_where(truth == 1, told),
        "false_positive_rate_difference": lambda truth, told: _mean_where(truth == 0, told),
    },
    "multiclass": {"error_rate_difference": lambda truth, told: float((truth != told).mean())},
    "regression": {"mean_error_difference": lambda truth, told: float((told - truth).mean())},
}

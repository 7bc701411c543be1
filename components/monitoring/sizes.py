"""How far each column moved, where nobody looks at a picture: a replay of a year, a proof over thousands of windows.

The distances are those of Evidently's runs (`report`), by the same functions of Evidently's; what takes a run its time
is the drawing.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from evidently.legacy.calculations.stattests import jensenshannon_stat_test, wasserstein_stat_test
from evidently.legacy.core import ColumnType

from components.monitoring.guards import Array
from components.monitoring.report import CATEGORY_METHOD, NUMBER_METHOD
from components.monitoring.shifts import Shift


def measure_sizes(
    window: Mapping[str, Array], reference: Mapping[str, Array], *, threshold: float, thresholds: Mapping[str, float]
) -> list[Shift]:
    """The shifts that `report.measure_drift` finds, with nothing drawn; its arguments."""
    return [_shift(name, values, reference[name], thresholds.get(name, threshold)) for name, values in window.items()]


def _shift(name: str, now: Array, then: Array, threshold: float) -> Shift:
    is_number = now.dtype.kind == "f"
    test, kind = (wasserstein_stat_test, "num") if is_number else (jensenshannon_stat_test, "cat")
    sides = (pd.Series(each).replace([-np.inf, np.inf], np.nan).dropna() for each in (then, now))
    size = float(test(*sides, ColumnType(kind), threshold).drift_score)
    method = NUMBER_METHOD if is_number else CATEGORY_METHOD
    return Shift(name, method, size if np.isfinite(size) else 0.0, threshold)

"""How far each column moved: Evidently's own distances, by its own functions, with nothing drawn.

A replay of a year and a proof over thousands of windows stop here; what takes a window's page its time is the drawing
(`report`), and a column that cannot be drawn is measured all the same.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from evidently.legacy.calculations.stattests import jensenshannon_stat_test, wasserstein_stat_test
from evidently.legacy.core import ColumnType

from components.monitoring.guards import Array
from components.monitoring.report import CATEGORY_METHOD, NUMBER_METHOD
from components.monitoring.shifts import Shift

# To have moved by more than so many standard deviations says nothing more, and cannot be read.
LARGEST = 1e6


def measure_sizes(
    window: Mapping[str, Array], reference: Mapping[str, Array], *, threshold: float, thresholds: Mapping[str, float]
) -> list[Shift]:
    """How far each column moved, in the order of the window's columns.

    Args:
        window: Columns of shape (rows,), none of them empty: float64 with NaN where missing, or folded categories.
        reference: The same columns, of shape (reference rows,).
        threshold: Effect size from which a column counts as drifted.
        thresholds: Other effect sizes for some columns.
    """
    return [_shift(name, values, reference[name], thresholds.get(name, threshold)) for name, values in window.items()]


def _shift(name: str, now: Array, then: Array, threshold: float) -> Shift:
    is_number = now.dtype.kind == "f"
    test, kind = (wasserstein_stat_test, "num") if is_number else (jensenshannon_stat_test, "cat")
    sides = (pd.Series(each[~np.isnan(each)] if is_number else each) for each in (then, now))
    size = float(test(*sides, ColumnType(kind), threshold).drift_score)
    method = NUMBER_METHOD if is_number else CATEGORY_METHOD
    return Shift(name, method, 0.0 if np.isnan(size) else min(size, LARGEST), threshold)

"""Whether a column moved by more than chance: a p-value for each, and how many of them may be chance.

It tells nothing about how far a column moved, and with many rows every move is significant: it only keeps small samples
and many columns from crying wolf. Rows are taken as independent; hours of one storm are not, so a threshold for the
effect size stands beside it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

Array = npt.NDArray[Any]


def chance_of(window: Array, reference: Array) -> float:
    """Chance of two samples so different, or more, if both came from one source.

    Args:
        window: Shape (rows,): float64 with NaN where missing, at least one number; or folded categories.
        reference: The same of the other side.

    Returns:
        A p-value, 0 to 1: of a Kolmogorov-Smirnov test for numbers, of a G-test for categories.
    """
    if window.dtype.kind == "f":
        now, then = window[~np.isnan(window)], reference[~np.isnan(reference)]
        return float(stats.ks_2samp(now, then, method="asymp").pvalue)
    values, codes = np.unique(np.concatenate([window, reference]).astype(str), return_inverse=True)
    if values.size == 1:
        return 1.0
    counts = [np.bincount(side, minlength=values.size) for side in np.split(codes, [window.size])]
    return float(stats.chi2_contingency(counts, correction=False, lambda_="log-likelihood").pvalue)


def discoveries(chances: Mapping[str, float], share: float) -> set[str]:
    """The names whose p-value is small enough that at most this share of them, on average, is chance.

    Source:
        Benjamini and Hochberg (1995), Controlling the False Discovery Rate.
    """
    if not chances:
        return set()
    adjusted = stats.false_discovery_control(list(chances.values()))
    return {name for name, value in zip(chances, adjusted, strict=True) if value <= share}

"""How far one column of a window moved: what Evidently measures, and all that stands beside it."""

from dataclasses import dataclass
from typing import Any

# The column that stands for the model's answers beside the inputs.
PREDICTION = "prediction"


@dataclass(frozen=True, slots=True)
class Shift:
    """How far one column moved.

    Attributes:
        column: Its name.
        method: Evidently's name of the distance.
        size: The distance, 0 or more; 0 is no change.
        threshold: From which size on it counts as drifted.
        widgets: What Evidently draws of it.
        p_value: Chance of a move as large without any change, 0 to 1.
        has_drifted: Moved by as much as the threshold or more, and not by chance.
    """

    column: str
    method: str
    size: float
    threshold: float
    widgets: tuple[Any, ...] = ()
    p_value: float | None = None
    has_drifted: bool = False

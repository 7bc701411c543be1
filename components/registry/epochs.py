"""How training went, epoch by epoch, as MLflow metrics."""

import json
import math
from pathlib import Path

from mlflow.entities import Metric


def epoch_metrics(history: Path, timestamp_ms: int) -> list[Metric]:
    """Every number of `history.json` with its epoch as the step; empty without that file.

    Args:
        history: JSON list with one object an epoch: `epoch` (from 1) and numbers such as `train_loss`,
            `validation_loss`, `learning_rate`.
        timestamp_ms: Time given to all of them (epoch milliseconds).
    """
    if not history.is_file():
        return []
    return [
        Metric(name, float(value), timestamp_ms, int(facts.get("epoch", number)))
        for number, facts in enumerate(json.loads(history.read_text()), start=1)
        for name, value in facts.items()
        if name != "epoch" and isinstance(value, int | float) and math.isfinite(value)
    ]

"""Newer rows weigh more: how much a training row counts by its age, and which rows an epoch draws by that.

The weights work by drawing, not in the loss: an epoch has as many rows as before, an old row comes in few of them and a
new one several times in each. So a loss needs to know nothing of weights, and every `LightningModule` can be trained in
this way unchanged, a user's own too; a weighted loss would have to be written into each, and one that forgot would
silently learn from all rows alike. What is drawn follows from seed and epoch alone, so a resumed training goes on with
the very rows it would have had. The price: an epoch of a weighted loss has a little less noise.
"""

from datetime import timedelta

import polars as pl
import torch

from components.errors import SchemaMismatch
from components.records.rows import Schema


def weights_by_age(frame: pl.DataFrame, schema: Schema, half_life: timedelta) -> torch.Tensor:
    """Each row's weight: 1 for the newest, half of that for a row that is one half-life older.

    Args:
        frame: The raw rows, with their event time.
        schema: Names the column of the event time.
        half_life: Age, in event time, at which a row counts half.

    Returns:
        Float64 of shape (rows,), above 0 up to 1.

    Raises:
        SchemaMismatch: If the rows have no event time.
    """
    if schema.timestamp not in frame.columns:
        raise SchemaMismatch(
            f"monitoring.retrain.window: recency wants the event time {schema.timestamp!r} of each training row, but "
            f"the rows hold {frame.columns}; divide the table again"
        )
    when = pl.col(schema.timestamp)
    ages = frame.select((when.max() - when).dt.total_seconds(fractional=True)).to_series().to_numpy(writable=True)
    # 2 ** -1,000 is still a number above 0.
    return torch.pow(2.0, -torch.from_numpy(ages).div(half_life.total_seconds()).clamp_max(1_000))


def draw(weights: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Places of as many rows as there are, each as often as its weight says: its share of the rows, rounded up or down.

    Args:
        weights: Shape (rows,), none negative, one or more above 0.
        generator: Chance.

    Returns:
        Places of shape (rows,), in an order that is chance.

    Source:
        Systematic resampling over shuffled rows: Kitagawa (1996), Journal of Computational and Graphical Statistics
        5(1). Drawing each row by itself would let a row's number vary as much as its mean.
    """
    rows = len(weights)
    shuffled = torch.randperm(rows, generator=generator)
    ends = weights[shuffled].cumsum(0)
    first = torch.rand((), generator=generator, dtype=torch.float64)
    points = (torch.arange(rows, dtype=torch.float64) + first) / rows * ends[-1]
    drawn = shuffled[torch.searchsorted(ends, points, right=True).clamp_max(rows - 1)]
    return drawn[torch.randperm(rows, generator=generator)]

"""Numbers as the first layer likes them: piecewise linear in their quantiles, with missing told apart."""

import torch
from torch import Tensor, nn

# Quantiles of this many rows differ from those of millions by less than a bin's hundredth.
SAMPLE_ROWS = 50_000
# In standard deviations: keeps the steepness finite where two quantiles all but coincide.
NARROWEST = 1e-6


class PiecewiseLinear(nn.Module):
    """Each number as `bins` values from 0 to 1, one a quantile bin: 1 below the value, 0 above it, between in its own.

    A missing number has zeros and a 1 in a place of its own. Values beyond the first and last edge count as the edge.

    Source:
        Gorishniy et al. (2022), On Embeddings for Numerical Features in Tabular Deep Learning, arXiv:2203.05556, 3.2.
    """

    low: Tensor
    steepness: Tensor

    def __init__(self, numbers: int, bins: int) -> None:
        """Make the buffers; until `fit`, every bin is unused and gives 0."""
        super().__init__()
        self.register_buffer("low", torch.zeros(numbers, bins))
        self.register_buffer("steepness", torch.zeros(numbers, bins))

    def fit(self, numbers: Tensor) -> None:
        """Take the bins' edges from these rows.

        Args:
            numbers: Shape (rows, numbers), NaN for missing.
        """
        bins = self.low.shape[1]
        drawn = torch.randperm(len(numbers), generator=torch.Generator().manual_seed(0))[:SAMPLE_ROWS]
        shares = torch.linspace(0, 1, bins + 1)
        for place, column in enumerate(numbers[drawn].T):
            edges = _edges(column[~torch.isnan(column)], shares)
            used = len(edges) - 1
            self.low[place, :used] = edges[:-1]
            self.steepness[place, :used] = 1 / (edges[1:] - edges[:-1]).clamp_min(NARROWEST)

    def forward(self, numbers: Tensor) -> Tensor:
        """From (rows, numbers) to (rows, numbers * (bins + 1))."""
        missing = torch.isnan(numbers).unsqueeze(2)
        known = torch.where(missing, 0.0, numbers.unsqueeze(2))
        levels = ((known - self.low) * self.steepness).clamp(0, 1)
        levels = torch.where(missing, 0.0, levels)
        return torch.cat([levels, missing.to(levels.dtype)], dim=2).flatten(1)


def _edges(values: Tensor, shares: Tensor) -> Tensor:
    """Different quantiles in rising order: fewer than asked for where one value is frequent, none without values."""
    if not len(values):
        return torch.zeros(1)
    edges = torch.unique(torch.quantile(values, shares))
    # A constant column still tells larger values from smaller ones.
    return edges if len(edges) > 1 else torch.cat([edges, edges + 1])

"""Networks in one: a layer whose members share their weights, and how much each of its units matters."""

import torch
from torch import Tensor, nn


def strongest(strength: Tensor, count: int) -> Tensor:
    """Places of the units that matter most to all members together, in their order.

    Args:
        strength: What comes into a unit times what goes out of it, shape (members, units).
        count: How many stay.
    """
    return strength.norm(dim=0).topk(count).indices.sort().values


class SharedLayer(nn.Module):
    """One weight matrix for all members, with scales for what goes in and comes out, and a bias, of each one's own.

    Source:
        Wen et al. (2020), BatchEnsemble, arXiv:2002.06715.
    """

    def __init__(self, units: int, members: int) -> None:
        super().__init__()
        self.shared = nn.Linear(units, units, bias=False)
        self.scale_in = nn.Parameter(torch.ones(members, 1, units))
        self.scale_out = nn.Parameter(torch.ones(members, 1, units))
        self.bias = nn.Parameter(torch.zeros(members, 1, units))

    def forward(self, units: Tensor) -> Tensor:
        """From (members, rows, units) to the same shape."""
        return self.shared(units * self.scale_in) * self.scale_out + self.bias

    def weight_in(self) -> Tensor:
        """How strongly each member listens to each unit before it, shape (members, units)."""
        return self._weights().norm(dim=1)

    def weight_out(self) -> Tensor:
        """How strongly each of its units is driven, by the units before it and by its bias, shape (members, units)."""
        return torch.hypot(self._weights().norm(dim=2), self.bias.squeeze(1))

    def cut(self, before: Tensor, after: Tensor) -> dict[str, Tensor]:
        """The state of the layer that takes these units from the one before and makes these; both are places."""
        return {
            "shared.weight": self.shared.weight[after][:, before],
            "scale_in": self.scale_in[..., before],
            "scale_out": self.scale_out[..., after],
            "bias": self.bias[..., after],
        }

    def _weights(self) -> Tensor:
        """Each member's own matrix, shape (members, units after, units before)."""
        return self.shared.weight * self.scale_in * self.scale_out.transpose(1, 2)

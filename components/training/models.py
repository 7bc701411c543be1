"""Networks for tables, and the door for a network of your own.

A model is a `LightningModule` whose first argument is `Inputs`, the facts of this training; `init_args` of the project
file are its keywords. It must hold to four things:

    forward(numbers, categories)   logits of shape (rows, outputs), or values of shape (rows, 1) in the target's unit;
                                   numbers is float32 (rows, numbers) with NaN for missing, categories int64
    training_step(batch, index)    the loss; a batch is (numbers, categories, target)
    validation_step(batch, index)  logs `validation_loss`
    configure_optimizers()         uses `total_steps` of the inputs, never `trainer.estimated_stepping_batches`: with
                                   that one Lightning 2.6 forgets the loader's place when a run is resumed

and may have a fifth: `prepare(numbers, target)` is called once with the whole training part before the first step, to
fill buffers such as quantiles. Buffers and weights are saved, so a model made again from the same arguments must have
them in the same shapes.
"""

import math
from typing import TypedDict

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.nn import functional

from components.records.rows import TargetKind
from components.training.numbers import PiecewiseLinear

Batch = tuple[Tensor, Tensor, Tensor]
# Rises over this many steps, so that Adam's first estimates do no harm.
WARM_UP_STEPS = 100
# A finite last step: the schedule ends at this share of the learning rate.
LAST_RATE = 0.02


class Inputs(TypedDict):
    """What a model is told: the shape of its inputs, the target, and how it will be trained. Kept in `model.json`."""

    numbers: int
    cardinalities: list[int]
    outputs: int
    kind: TargetKind
    learning_rate: float
    weight_decay: float
    total_steps: int


class TabularNet(LightningModule):
    """A few small networks in one, averaged: members share their weights but for scales of their own.

    Numbers enter piecewise linear in their quantiles, so what lies beyond the training range counts as its edge, as
    with trees; categories enter as embeddings.

    Source:
        Gorishniy et al. (2024), TabM, arXiv:2410.24210; Gorishniy et al. (2022), On Embeddings for Numerical Features
        in Tabular Deep Learning, arXiv:2203.05556.
    """

    target_mean: Tensor
    target_std: Tensor

    def __init__(
        self,
        inputs: Inputs,
        *,
        hidden_units: int = 96,
        layers: int = 2,
        members: int = 4,
        bins: int = 16,
        embedding: int = 8,
        dropout: float = 0.3,
    ) -> None:
        """Make the network, untrained.

        Args:
            inputs: The facts of this training.
            hidden_units: Width of each hidden layer.
            layers: Hidden layers.
            members: Networks in one; their outputs are averaged.
            bins: Quantile bins a number.
            embedding: Largest width of a category's embedding.
            dropout: Share of hidden units left out in training, 0 to 1.
        """
        super().__init__()
        self.inputs = inputs
        self.bins = PiecewiseLinear(inputs["numbers"], bins)
        self.embeddings = nn.ModuleList(_embedding(size, embedding) for size in inputs["cardinalities"])
        width = inputs["numbers"] * (bins + 1) + sum(table.embedding_dim for table in self.embeddings)
        self.first = nn.Linear(width, hidden_units)
        # The members start apart: with equal scales all of them would stay the same network.
        self.scales = nn.Parameter(1 + 0.5 * torch.randn(members, hidden_units))
        self.hidden = nn.ModuleList(SharedLayer(hidden_units, members) for _ in range(layers - 1))
        self.head = nn.Parameter(torch.randn(members, hidden_units, inputs["outputs"]) / math.sqrt(hidden_units))
        self.head_bias = nn.Parameter(torch.zeros(members, 1, inputs["outputs"]))
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("target_mean", torch.zeros(()))
        self.register_buffer("target_std", torch.ones(()))

    def prepare(self, numbers: Tensor, target: Tensor) -> None:
        """Learn the quantiles of each number, and the scale of a regression's target, from the training part."""
        self.bins.fit(numbers)
        if self.inputs["kind"] == "regression":
            self.target_mean.copy_(target.mean())
            self.target_std.copy_(target.std(unbiased=False).clamp_min(1e-12))

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        """Logits, shape (rows, outputs); for a regression values in the target's unit, shape (rows, 1)."""
        scores = self.member_scores(numbers, categories).mean(dim=0)
        return scores * self.target_std + self.target_mean if self.inputs["kind"] == "regression" else scores

    def member_scores(self, numbers: Tensor, categories: Tensor) -> Tensor:
        """Each member's own scores, shape (members, rows, outputs); for a regression in standard deviations."""
        parts = [self.bins(numbers)]
        parts += [table(categories[:, place]) for place, table in enumerate(self.embeddings)]
        units = self.first(torch.cat(parts, dim=1)).unsqueeze(0) * self.scales.unsqueeze(1)
        units = self.dropout(torch.relu(units))
        for layer in self.hidden:
            units = self.dropout(torch.relu(layer(units)))
        return torch.matmul(units, self.head) + self.head_bias

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The mean of the members' losses: each must answer by itself, which keeps them different."""
        numbers, categories, target = batch
        return self._loss(self.member_scores(numbers, categories), target)

    def validation_step(self, batch: Batch, index: int) -> None:
        """Logs the loss of the averaged network."""
        numbers, categories, target = batch
        loss = self._loss(self.member_scores(numbers, categories).mean(dim=0, keepdim=True), target)
        self.log("validation_loss", loss, batch_size=len(target))

    def configure_optimizers(self) -> dict[str, object]:
        """AdamW with a short warm-up and a cosine to almost nothing, step by step."""
        inputs = self.inputs
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=inputs["learning_rate"], weight_decay=inputs["weight_decay"]
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _rate(self, step: int) -> float:
        """Share of the learning rate at a step, 0 to 1."""
        total = max(self.inputs["total_steps"], 1)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / total)))
        return min(1.0, (step + 1) / min(WARM_UP_STEPS, total)) * (LAST_RATE + (1 - LAST_RATE) * cosine)

    def _loss(self, scores: Tensor, target: Tensor) -> Tensor:
        """Mean loss of scores of shape (members, rows, outputs) against a target of shape (rows,)."""
        members = scores.shape[0]
        if self.inputs["kind"] == "multiclass":
            return functional.cross_entropy(scores.flatten(0, 1), target.repeat(members))
        wanted = target.expand(members, -1)
        if self.inputs["kind"] == "binary":
            return functional.binary_cross_entropy_with_logits(scores.squeeze(-1), wanted)
        return functional.mse_loss(scores.squeeze(-1), (wanted - self.target_mean) / self.target_std)


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


def _embedding(size: int, widest: int) -> nn.Embedding:
    """A table for a category: half as wide as it has values, within 2 and `widest`."""
    table = nn.Embedding(size, min(widest, max(2, (size + 1) // 2)))
    nn.init.normal_(table.weight, std=0.3)
    return table

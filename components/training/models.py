"""Networks for tables, and the door for a network of your own.

A model is a `LightningModule` whose first argument is `Inputs`, the facts of this training; `init_args` of the project
file are its keywords. It must hold to four things:

    forward(numbers, categories)   logits of shape (rows, outputs), or values of shape (rows, 1) in the target's unit;
                                   numbers is float32 (rows, numbers) with NaN for missing, categories int64
    training_step(batch, index)    the loss; a batch is (numbers, categories, target), the target of shape (rows,), or
                                   (rows, classes) with the probabilities of each class where a teacher is learned from
    validation_step(batch, index)  logs `validation_loss`
    configure_optimizers()         uses `total_steps` of the inputs, never `trainer.estimated_stepping_batches`: with
                                   that one Lightning 2.6 forgets the loader's place when a run is resumed

and may have three more:

    prepare(numbers, target)       called once with the whole training part before the first step, to fill buffers such
                                   as quantiles; not called where training begins with the weights of another model
    pruned(keep)                   the `init_args` that differ and the state of a network with that share of its hidden
                                   units, for the variant `pruned`
    for_inference()                a module with the same forward and the same answers, made of fewer operations: it is
                                   exported in the network's place, and compared with it

Buffers and weights are saved, so a model made again from the same arguments must have them in the same shapes.
"""

import math
from typing import Any, TypedDict

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.nn import functional

from components.records.rows import TargetKind
from components.training.compact import compact
from components.training.dropout import Dropout
from components.training.members import SharedLayer, strongest
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
        self.dropout = Dropout(dropout)
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

    def for_inference(self) -> nn.Module:
        """The same answers from fewer and larger matrix products: what is exported."""
        return compact(self)

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

    def pruned(self, keep: float) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The network with its strongest hidden units only, the same number in each layer.

        Args:
            keep: Share of the units that stay, 0 to 1; at least one does.

        Returns:
            The arguments that differ, and the state of the network made with them.
        """
        layers: list[SharedLayer] = list(self.hidden)
        ends = [layer.weight_in() for layer in layers] + [self.head.norm(dim=2)]
        first = torch.cat([self.first.weight, self.first.bias.unsqueeze(1)], dim=1).norm(dim=1)
        starts = [first * self.scales.abs()] + [layer.weight_out() for layer in layers]
        count = max(1, round(keep * self.first.out_features))
        kept = [strongest(start * end, count) for start, end in zip(starts, ends, strict=True)]
        state = self.state_dict()
        state["first.weight"], state["first.bias"] = self.first.weight[kept[0]], self.first.bias[kept[0]]
        state["scales"], state["head"] = self.scales[:, kept[0]], self.head[:, kept[-1]]
        for place, layer in enumerate(layers):
            smaller = layer.cut(kept[place], kept[place + 1])
            state |= {f"hidden.{place}.{name}": value for name, value in smaller.items()}
        return {"hidden_units": count}, {name: value.detach().clone() for name, value in state.items()}

    def _rate(self, step: int) -> float:
        """Share of the learning rate at a step, 0 to 1."""
        total = max(self.inputs["total_steps"], 1)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / total)))
        return min(1.0, (step + 1) / min(WARM_UP_STEPS, total)) * (LAST_RATE + (1 - LAST_RATE) * cosine)

    def _loss(self, scores: Tensor, target: Tensor) -> Tensor:
        """Mean loss of scores of shape (members, rows, outputs); the target is of shape (rows,) or (rows, classes)."""
        members = scores.shape[0]
        if self.inputs["kind"] == "multiclass":
            wanted = torch.cat([target] * members)
            return functional.cross_entropy(scores.flatten(0, 1), wanted)
        wanted = target.expand(members, -1)
        if self.inputs["kind"] == "binary":
            return functional.binary_cross_entropy_with_logits(scores.squeeze(-1), wanted)
        return functional.mse_loss(scores.squeeze(-1), (wanted - self.target_mean) / self.target_std)


def _embedding(size: int, widest: int) -> nn.Embedding:
    """A table for a category: half as wide as it has values, within 2 and `widest`."""
    table = nn.Embedding(size, min(widest, max(2, (size + 1) // 2)))
    nn.init.normal_(table.weight, std=0.3)
    return table

"""The network for tables."""

import torch

from components.training.models import Inputs, TabularNet
from components.training.numbers import PiecewiseLinear


def inputs(kind="binary", outputs=1):
    """Two numbers, and a category of five."""
    return Inputs(
        numbers=2, cardinalities=[5], outputs=outputs, kind=kind, learning_rate=1e-3, weight_decay=0.0, total_steps=10
    )


def test_bins_are_linear_between_quantiles_and_flat_beyond():
    """A value fills the bins below it and its own by its share; beyond the training range it counts as the edge."""
    bins = PiecewiseLinear(numbers=1, bins=2)
    bins.fit(torch.linspace(0, 4, 5).unsqueeze(1))

    levels = bins(torch.tensor([[-9.0], [1.0], [3.0], [99.0], [float("nan")]]))

    assert levels.tolist() == [[0, 0, 0], [0.5, 0, 0], [1, 0.5, 0], [1, 1, 0], [0, 0, 1]]


def test_a_number_of_one_value_or_of_none_gives_no_nan():
    """A constant column, and one that is always missing, go through the network."""
    bins = PiecewiseLinear(numbers=2, bins=4)
    numbers = torch.tensor([[3.0, float("nan")]] * 9)
    bins.fit(numbers)

    assert torch.isfinite(bins(numbers)).all()


def test_the_output_has_a_column_a_class():
    """Logits are of shape (rows, outputs), also for a table without categories."""
    bare = {**inputs("multiclass", 3), "cardinalities": []}

    logits = TabularNet(bare)(torch.zeros(7, 2), torch.zeros(7, 0, dtype=torch.int64))

    assert logits.shape == (7, 3)


def test_a_regression_answers_in_the_targets_unit():
    """An untrained network answers near the target's mean, however large that is."""
    network = TabularNet(inputs("regression")).eval()
    network.prepare(torch.randn(100, 2), torch.full((100,), 1e6) + torch.randn(100))

    values = network(torch.zeros(3, 2), torch.zeros(3, 1, dtype=torch.int64))

    assert (values - 1e6).abs().max() < 100


def test_members_differ_from_the_start():
    """Members that start alike would stay one network."""
    network = TabularNet(inputs(), members=3).eval()

    scores = network.member_scores(torch.randn(5, 2), torch.zeros(5, 1, dtype=torch.int64))

    assert scores.shape == (3, 5, 1)
    assert scores.std(dim=0).min() > 0


def test_the_rate_rises_and_falls_to_almost_nothing():
    """Ten steps: warm-up to the top, then a cosine down to 2 % of the learning rate."""
    network = TabularNet(inputs())

    rates = [network._rate(step) for step in (0, 5, 10)]

    assert rates[0] == 0.1
    assert rates[2] == 0.02

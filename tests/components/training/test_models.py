"""The network for tables."""

import pytest
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


def test_probabilities_of_the_classes_are_targets_too():
    """A row that is surely of a class costs what its label costs; a row between two classes costs their mean."""
    network = TabularNet(inputs("multiclass", 3), members=2)
    scores, labels = torch.randn(2, 6, 3), torch.tensor([0, 1, 2, 2, 1, 0])
    others = torch.tensor([1, 1, 1, 0, 0, 0])

    sure = network._loss(scores, torch.eye(3)[labels])
    between = network._loss(scores, (torch.eye(3)[labels] + torch.eye(3)[others]) / 2)

    assert sure == pytest.approx(network._loss(scores, labels).item(), rel=1e-6)
    assert between == pytest.approx(
        (network._loss(scores, labels) + network._loss(scores, others)).item() / 2, rel=1e-6
    )


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("silent", ["in", "out"])
def test_units_that_say_nothing_can_be_cut_without_a_trace(layers, silent):
    """Half the units hear nothing, or reach nothing: the network of the other half gives the same answers."""
    network = TabularNet(inputs(outputs=1), hidden_units=8, layers=layers, members=3).eval()
    network.prepare(torch.randn(100, 2), torch.zeros(100))
    silence(network, silent)
    rows = torch.randn(50, 2), torch.arange(50).unsqueeze(1) % 5

    differing, state = network.pruned(0.5)

    smaller = TabularNet(inputs(outputs=1), layers=layers, members=3, **differing).eval()
    smaller.load_state_dict(state)
    assert differing == {"hidden_units": 4}
    assert torch.allclose(smaller(*rows), network(*rows), atol=1e-6)


@torch.no_grad()
def silence(network, silent):
    """Other units in each layer: the first's odd ones, the next one's even ones, and so on."""
    for place, layer in enumerate([network.first, *network.hidden]):
        units = slice((place + 1) % 2, None, 2)
        behind = [*network.hidden, None][place]
        if silent == "out":
            (network.head[:, units] if behind is None else behind.shared.weight[:, units]).zero_()
        elif place:
            layer.shared.weight[units].zero_()
            layer.bias[:, :, units].zero_()
        else:
            network.scales[:, units].zero_()


def test_one_unit_stays_however_much_is_cut():
    """A layer of nothing would answer nothing."""
    differing, _ = TabularNet(inputs(), hidden_units=8).pruned(0.01)

    assert differing == {"hidden_units": 1}

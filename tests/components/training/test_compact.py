"""The compact form of the shipped network: the same function, whatever shape the network has."""

import pytest
import torch

from components.training.compact import compact
from components.training.models import TabularNet

ROWS = 400


def trained(kind="binary", *, numbers=3, cardinalities=(5, 9), layers=2, outputs=1):
    """A network with weights far from their start, as after training, and rows for it: some numbers missing."""
    torch.manual_seed(3)
    inputs = {
        "numbers": numbers, "cardinalities": list(cardinalities), "outputs": outputs, "kind": kind,
        "learning_rate": 1e-3, "weight_decay": 0.0, "total_steps": 1,
    }  # fmt: skip
    network = TabularNet(inputs, hidden_units=12, layers=layers, members=3, embedding=4).eval()
    values = 3 * torch.randn(ROWS, numbers)
    values[::7] = float("nan")
    # A number with few values leaves bins without use.
    values[:, -1:] = values[:, -1:].round()
    network.prepare(values, torch.linspace(100, 300, ROWS))
    with torch.no_grad():
        for weight in network.parameters():
            weight.normal_(std=0.5)
    places = [torch.randint(0, size, (ROWS,)) for size in cardinalities]
    return network, values, torch.stack(places, dim=1) if places else torch.zeros(ROWS, 0, dtype=torch.int64)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize(("kind", "outputs"), [("binary", 1), ("multiclass", 4), ("regression", 1)])
def test_it_is_the_same_function(kind, outputs, layers):
    """Missing numbers, every category and members of either sign: the answers agree to the last digits of float32."""
    network, numbers, categories = trained(kind, layers=layers, outputs=outputs)

    with torch.inference_mode():
        found, wanted = compact(network)(numbers, categories), network(numbers, categories)

    # float32 holds seven digits, and each of the four sums in a row loses some.
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))


@pytest.mark.parametrize(("numbers", "cardinalities"), [(0, (4,)), (2, ()), (1, (2, 2, 30))])
def test_a_table_of_one_kind_of_column_works_too(numbers, cardinalities):
    """Without any number, or any category, there is one part less."""
    network, values, places = trained(numbers=numbers, cardinalities=cardinalities)

    with torch.inference_mode():
        found, wanted = compact(network)(values, places), network(values, places)

    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))


def test_numbers_at_the_encoders_bounds_are_not_taken_for_missing():
    """The encoder cuts off at ten standard deviations; there, too, a number is a number."""
    network, _, categories = trained()
    numbers = torch.tensor([[10.0, -10.0, 10.0], [-10.0, 10.0, -10.0]])

    with torch.inference_mode():
        found, wanted = compact(network)(numbers, categories[:2]), network(numbers, categories[:2])

    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))


def test_bins_without_use_and_units_of_one_sign_take_no_room():
    """The first product is as wide as there are bins in use, and has a unit twice only where members disagree."""
    network, numbers, _ = trained(cardinalities=())
    with torch.no_grad():
        network.scales.abs_()
        network.scales[0, 5] = -1.0

    first = compact(network).products[0]

    used = int((network.bins.steepness != 0).sum())
    assert used < network.bins.steepness.numel()
    assert tuple(first.weight.shape) == (12 + 1, used + numbers.shape[1])

"""Units left out by bytes."""

import pytest
import torch

from components.training.dropout import Dropout


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_it_leaves_out_its_share_and_keeps_the_mean(share: float):
    """Of 300,003 units the wanted share is zero, the others are scaled, and the sum stays what it was."""
    torch.manual_seed(1)
    units = torch.ones(3, 100_001)

    left = Dropout(share).train()(units)

    assert (left == 0).float().mean().item() == pytest.approx(share, abs=0.005)
    assert left.mean().item() == pytest.approx(1, abs=0.01)
    assert left.unique().numel() == 2


def test_the_generator_decides():
    """The same seed leaves out the same units, another seed others: a resumed training is the uninterrupted one."""
    layer, units = Dropout(0.3).train(), torch.ones(50, 7)
    drawn = [(torch.manual_seed(seed), layer(units))[1] for seed in (3, 3, 4)]

    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_evaluation_changes_nothing():
    """What is exported has no dropout in it."""
    units = torch.randn(4, 5)

    assert Dropout(0.3).eval()(units) is units
    assert Dropout(0.0).train()(units) is units


def test_gradients_flow_through_the_kept_units_only():
    """A unit that was left out learns nothing from the row."""
    torch.manual_seed(2)
    units = torch.ones(1_000, requires_grad=True)

    left = Dropout(0.5).train()(units)
    left.sum().backward()

    assert torch.equal(units.grad == 0, left == 0)

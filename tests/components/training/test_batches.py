"""Batches cut from tensors in memory."""

import pytest
import torch

from components.training.batches import OrderedBatches, TensorBatches

ROWS = torch.arange(103)


def batches(epoch=0, seed=7):
    """Batches of ten of 103 rows."""
    return TensorBatches(ROWS, ROWS * 2, batch_rows=10, seed=seed, epoch=lambda: epoch)


def order(loader):
    """The rows in the order they came."""
    return torch.cat([first for first, _ in loader]).tolist()


def test_an_epoch_gives_whole_batches_of_different_rows():
    """Each row comes at most once, rows of all tensors stay together, and what fills no batch is left out."""
    given = list(batches())

    assert [len(first) for first, _ in given] == [10] * 10
    assert len({int(row) for first, _ in given for row in first}) == 100
    assert all(torch.equal(first * 2, second) for first, second in given)


@pytest.mark.parametrize("other", [{"epoch": 1}, {"seed": 8}])
def test_the_order_follows_from_seed_and_epoch_alone(other):
    """The same seed and epoch shuffle alike, another of either shuffles anew."""
    assert order(batches()) == order(batches())
    assert order(batches()) != order(batches(**other))


def test_a_loaded_state_goes_on_behind_the_batches_already_given():
    """After a resume the rest of the epoch comes in the order it would have had, and the next one is whole."""
    first = batches()
    iterator = iter(first)
    for _ in range(4):
        next(iterator)
    resumed = batches()
    resumed.load_state_dict(first.state_dict())

    rest = order(resumed)

    assert rest == order(batches())[40:]
    assert len(order(resumed)) == 100


def test_fewer_rows_than_a_batch_are_one_batch():
    """A tiny table still trains."""
    assert len(TensorBatches(ROWS, batch_rows=1000, seed=0, epoch=lambda: 0)) == 1


def test_validation_sees_every_row_in_its_order():
    """The last, shorter batch is not left out."""
    loader = OrderedBatches(ROWS, ROWS, batch_rows=10)

    assert len(loader) == len(list(loader)) == 11
    assert order(loader) == ROWS.tolist()

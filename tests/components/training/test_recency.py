"""Newer rows weigh more: each row comes into an epoch as often as its age says."""

import json
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.numpy import load_file

from components.errors import SchemaMismatch
from components.records.models import FittedModel
from components.training.batches import TensorBatches
from components.training.fit import fit_model
from components.training.jobs import Job
from components.training.recency import draw, weights_by_age
from components.training.worker import train
from tests.components.training.test_fit import _kill_after_a_checkpoint
from tests.components.training.tiny import NOW, tiny_rows, tiny_schema, tiny_settings, tiny_split

DAY = timedelta(days=1)


def aged_rows(rows: int, days: int, seed: int = 0) -> pl.DataFrame:
    """Tiny rows spread evenly over so many days; in the older half every answer is the contrary."""
    frame = tiny_rows(rows, seed=seed).with_columns(
        when=pl.Series([NOW - days * DAY * (1 - row / rows) for row in range(rows)])
    )
    is_old = pl.int_range(pl.len()) < rows // 2
    return frame.with_columns(answer=pl.when(is_old).then(1 - pl.col("answer")).otherwise(pl.col("answer")))


def turned_split(folder):
    """A split whose world turned round in the middle of the training time, a hundred days."""
    folder.mkdir(exist_ok=True)
    split = tiny_split(folder)
    aged_rows(1_200, 100).write_parquet(split.train.path)
    return split


def test_a_row_counts_half_for_each_half_life_of_age():
    """The newest counts 1; ten days of age at a half-life of five count a quarter."""
    frame = pl.DataFrame({"when": [NOW, NOW - 5 * DAY, NOW - 10 * DAY, NOW - 36_500 * DAY]})

    weights = weights_by_age(frame, tiny_schema(), 5 * DAY)

    assert weights[:3].tolist() == pytest.approx([1, 0.5, 0.25])
    assert 0 < weights[3] < 1e-300


def test_rows_without_an_event_time_are_refused():
    """Nobody can tell how old they are."""
    with pytest.raises(SchemaMismatch, match=r"recency wants the event time 'when' .* the rows hold \['temp',"):
        weights_by_age(tiny_rows(10), tiny_schema(), DAY)


def test_each_row_is_drawn_as_often_as_its_weight_says():
    """Every epoch gives each row its share, rounded up or down; over many epochs, exactly its share."""
    weights = torch.tensor([4.0, 2.0, 1.0, 0.5, 0.5, 0.0], dtype=torch.float64)
    share = weights / weights.sum() * len(weights)

    counts = [torch.bincount(draw(weights, torch.Generator().manual_seed(seed)), minlength=6) for seed in range(2_000)]

    assert all(((count >= share.floor()) & (count <= share.ceil())).all() for count in counts)
    # 2,000 epochs leave a standard deviation of at most 0.011 to a mean between two whole numbers.
    assert torch.stack(counts).double().mean(0).tolist() == pytest.approx(share.tolist(), abs=0.05)


def test_equal_weights_give_every_row_once():
    """Drawing by weights that say nothing is shuffling."""
    drawn = draw(torch.full((500,), 0.3, dtype=torch.float64), torch.Generator().manual_seed(1))

    assert sorted(drawn.tolist()) == list(range(500))
    assert drawn.tolist() != list(range(500))


def test_weighted_batches_follow_from_seed_and_epoch_alone():
    """A loader that was stopped in an epoch goes on with the very rows it would have given."""
    rows = torch.arange(1_000)
    weights = torch.linspace(0.01, 1, 1_000, dtype=torch.float64)

    def loader(epoch: int = 3) -> TensorBatches:
        return TensorBatches(rows, batch_rows=50, seed=7, epoch=lambda: epoch, weights=weights)

    whole = [batch[0].tolist() for batch in loader()]
    resumed = loader()
    resumed.load_state_dict({"given": 8})

    assert [batch[0].tolist() for batch in resumed] == whole[8:]
    assert [batch[0].tolist() for batch in loader(4)] != whole
    assert np.mean(whole) > 600  # 500 if all counted alike, 663 as weighted


def test_a_world_that_turned_is_learned_from_its_newest_rows(tmp_path):
    """Half of the rows say the contrary: all alike, nothing can be learned; by recency, what holds now is."""
    split, settings = turned_split(tmp_path / "rows"), tiny_settings(max_epochs=6)
    losses = {}
    for name, half_life in {"alike": None, "recent": 10 * DAY}.items():
        job = Job.of(split, settings, tmp_path / name, half_life=half_life)
        job.folder.mkdir()
        train(job)
        losses[name] = json.loads((job.folder / "fitted.json").read_text())["validation_loss"]

    # 0.69 is the loss of knowing nothing; 0.69 and 0.23 when written.
    assert losses["alike"] > 0.6
    assert losses["recent"] < 0.4


def test_a_weighted_training_killed_in_an_epoch_gives_the_same_weights_when_run_again(tmp_path):
    """kill -9, then the same call: resumed with the rows that the killed one would have drawn, equal to the bit."""
    split, settings = turned_split(tmp_path / "rows"), tiny_settings(max_epochs=30, keep="last")
    killed, undisturbed = (Job.of(split, settings, tmp_path / name, half_life=20 * DAY) for name in ("a", "b"))
    for job in (killed, undisturbed):
        job.folder.mkdir()
    killed.write(killed.folder / "job.json")
    _kill_after_a_checkpoint(killed)

    resumed = fit_model(split, settings, killed.folder, half_life=20 * DAY)
    train(undisturbed)

    assert isinstance(resumed, FittedModel)
    assert "training resumed" in (killed.folder / "worker.log").read_text()
    weights, wanted = (load_file(job.folder / "weights.safetensors") for job in (killed, undisturbed))
    assert all(np.array_equal(weights[name], wanted[name]) for name in wanted)


def test_another_half_life_never_goes_on_from_a_checkpoint(tmp_path):
    """Rows weighed otherwise are another training; the job says so after a way through its file, too."""
    split = turned_split(tmp_path / "rows")
    jobs = [Job.of(split, tiny_settings(), tmp_path, half_life=days and days * DAY) for days in (None, 10, 20)]
    jobs[1].write(tmp_path / "job.json")

    assert len({job.checkpoints for job in jobs}) == 3
    assert Job.read(tmp_path / "job.json") == jobs[1]

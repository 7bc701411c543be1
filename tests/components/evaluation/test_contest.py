"""Contests on real graphs and real parts: who answers what, and what cannot be answered."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars
import pytest

from components.data.splits import write_part
from components.evaluation.contest import Contender, contest
from components.records.models import Footprint, Latency
from components.records.rows import Column, Schema, Split, TableVersion
from components.records.scores import Rule
from components.settings.evaluation import ChangeBehaviour, ChangeSettings, EvaluationSettings
from tests.components.evaluation.sides import failed, rule
from tests.components.evaluation.tiny import BINARY, CLASSES, FEATURES, NOW, graph, rows

SETTINGS = EvaluationSettings(metric="roc_auc", slices=("origin", "temp"), slice_rows=400)


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """Rows a millisecond apart: learned from, chosen on, held out and judged on."""
    folder = tmp_path_factory.mktemp("split")
    every = rows(6_000).with_columns(ts=NOW + polars.int_range(polars.len()) * timedelta(milliseconds=1))
    bounds = {"train": (0, 2_000), "validation": (2_000, 3_000), "holdout": (3_000, 4_000), "test": (4_000, 6_000)}
    parts = {
        name: write_part(every[low:high], folder / f"{name}.parquet", "ts") for name, (low, high) in bounds.items()
    }
    table = TableVersion(Path("table"), 0, 6_000, "c" * 64, NOW, NOW)
    return Split(**parts, reference=parts["train"], schema=BINARY, table=table)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A graph with the weight that made the rows."""
    return Contender(graph(tmp_path_factory.mktemp("good"), BINARY, weight=1.0), BINARY)


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """A graph with a weight of the wrong sign, which still ranks better than chance by the origin."""
    return Contender(graph(tmp_path_factory.mktemp("bad"), BINARY, weight=-0.02), BINARY)


def test_the_better_graph_wins_the_contest(split, good, bad):
    """A graph with the true weight beats one with the wrong sign on the same rows, and not the other way round."""
    won, lost = contest(good, bad, split, SETTINGS), contest(bad, good, split, SETTINGS)

    assert won.promote
    assert lost.outcome == "reject"
    assert contest(good, good, split, SETTINGS).outcome == "inconclusive"
    assert contest(good, None, split, SETTINGS).promote
    assert (won.rows, won.table_sha256) == (2_000, split.test.sha256)
    assert [one.name for one in won.rules] == [
        "candidate_finite", "same_rows", "enough_rows", "rows_apart", "candidate_measured", "beats", "minimum",
        "groups", "calibration", "champion_measured", "superiority", "holdout", "slices", "behaviours", "latency",
        "size",
    ]  # fmt: skip


def test_both_sides_answer_the_holdout_too(split, good, bad):
    """Its rows are counted, and without one the rule says so."""
    kept = contest(good, bad, split, SETTINGS)
    none = contest(good, bad, replace(split, holdout=None), SETTINGS)

    assert "on 1,000 rows of the holdout" in rule(kept, "holdout").detail
    assert none.promote
    assert "keeps no holdout" in rule(none, "holdout").detail


def test_slices_are_those_of_the_recent_rows(split, good, bad):
    """Two origins and four quarters of the temperature, the lowest of which is told."""
    detail = rule(contest(good, bad, split, SETTINGS), "slices").detail

    assert "and none of 6 is; lowest: " in detail


def test_a_graph_that_ranks_like_chance_has_learned_nothing(split, good, tmp_path):
    """With every weight at 0 it says of a row what the constant says, whoever is the champion."""
    blind = Contender(graph(tmp_path, BINARY, weight=0.0), BINARY)
    frame = polars.read_parquet(split.test.path).with_columns(origin=polars.lit("JFK"))
    same = replace(split, test=write_part(frame, tmp_path / "test.parquet", "ts"))

    verdict = contest(blind, good, same, SETTINGS)

    assert verdict.outcome == "reject"
    assert "over the simple model 'constant' must lie above 0" in verdict.reason
    assert "worth no more than a model that has learned nothing" in verdict.reason


def test_a_part_that_changed_after_the_split_settles_nothing(split, good, bad, tmp_path):
    """The hash of what was read is not the one that the split knows."""
    frame = polars.read_parquet(split.test.path)
    other = write_part(frame, tmp_path / "test.parquet", "ts")
    frame.with_columns(temp=polars.col("temp") + 1).write_parquet(tmp_path / "test.parquet")

    verdict = contest(good, bad, replace(split, test=other), SETTINGS)

    assert verdict.outcome == "inconclusive"
    assert failed(verdict) == ["same_rows"]
    assert "both sides must answer the rows that are judged on: candidate" in verdict.reason


@pytest.mark.parametrize(("name", "told"), [("validation", "1 of validation"), ("test", "1 of test")])
def test_training_rows_cannot_choose_or_judge(split, good, bad, name, told):
    """A split whose validation or test part is its training part is refused."""
    verdict = contest(good, bad, replace(split, **{name: split.train}), SETTINGS)

    assert verdict.outcome == "reject"
    assert told in rule(verdict, "rows_apart").detail
    assert verdict.reason.startswith("rows to judge and to choose on must not be among those it learned from")


def test_rows_that_chose_the_model_cannot_judge_it(split, good, bad):
    """A test part that is the validation part is no more honest."""
    verdict = contest(good, bad, replace(split, test=split.validation), SETTINGS)

    assert "1 of test" in rule(verdict, "rows_apart").detail


def test_facts_of_the_candidate_are_held_against_the_limits(split, good, bad):
    """Behaviours, latency and size are the candidate's, and a limit without a fact stops it."""
    change = ChangeBehaviour(name="warmer", column="temp", change=ChangeSettings(add=5), expect="up")
    limits = {"gate": SETTINGS.gate.model_copy(update={"max_p99_ms": 5.0, "max_mb": 2.0}), "behaviours": (change,)}
    settings = SETTINGS.model_copy(update=limits)
    fast = replace(
        good,
        behaviours=(Rule("warmer", True, "100 of 100 rows went up"),),
        footprint=Footprint((Latency(1, 0.1, 0.2),), 1e5, 10.0, 90.0),
        megabytes=0.1,
    )

    unknown = contest(good, bad, split, settings)

    assert contest(fast, bad, split, settings).promote
    assert unknown.outcome == "inconclusive"
    assert failed(unknown) == ["behaviours", "latency", "size"]


def test_a_candidate_that_cannot_be_run_is_rejected(split, good, tmp_path):
    """A broken candidate file ends in a verdict with the reason, not in a failed flow."""
    (tmp_path / "broken.onnx").write_bytes(b"not a graph")

    verdict = contest(Contender(tmp_path / "broken.onnx", BINARY), good, split, SETTINGS)

    assert verdict.outcome == "reject"
    assert "the candidate must answer the rows it is judged on" in verdict.reason
    assert "broken.onnx must be an ONNX graph" in verdict.reason
    assert verdict.table_sha256 == split.test.sha256


def test_a_champion_that_cannot_be_run_keeps_its_place(split, good):
    """A champion that wants a column the rows do not hold cannot be beaten, so a person must look."""
    other = Schema((Column("wind", "number"), *FEATURES), "late", "binary", "ts")

    verdict = contest(good, Contender(good.graph, other), split, SETTINGS)

    assert verdict.outcome == "inconclusive"
    assert "the champion must answer the rows" in verdict.reason
    assert "wind" in verdict.reason


def test_a_simple_model_that_cannot_be_made_stops_a_promotion(split, good, bad, tmp_path):
    """Without it nobody knows whether anything was learned."""
    empty = polars.read_parquet(split.train.path).head(0)
    empty.write_parquet(tmp_path / "train.parquet")

    verdict = contest(good, bad, replace(split, train=replace(split.train, path=tmp_path / "train.parquet")), SETTINGS)

    assert verdict.outcome == "inconclusive"
    assert failed(verdict) == ["beats"]


def test_a_champion_that_knows_fewer_classes_is_still_judged(split, tmp_path):
    """Classes are matched by name: a class the champion never saw counts as probability 0 there."""
    path = graph(tmp_path, CLASSES)
    settings = SETTINGS.model_copy(update={"metric": "accuracy"})
    several = replace(split, schema=CLASSES)
    shuffled = Schema(FEATURES, "weather", "multiclass", "ts", classes=("snow", "dry", "rain"))
    older = Schema(FEATURES, "weather", "multiclass", "ts", classes=("fog", "dry", "rain"))

    against_shuffled = contest(Contender(path, CLASSES), Contender(path, shuffled), several, settings)
    against_older = contest(Contender(path, CLASSES), Contender(path, older), several, settings)

    assert against_shuffled.promote
    assert against_older.promote
    assert against_older.champion < against_older.candidate


def test_the_same_contest_gives_the_same_verdict(split, good, bad):
    """Also where the rows are drawn again: the draws have a seed."""
    settings = SETTINGS.model_copy(update={"metric": "log_loss"})

    assert contest(good, bad, split, settings) == contest(good, bad, split, settings)
    assert np.isfinite(contest(good, bad, split, settings).difference_low)

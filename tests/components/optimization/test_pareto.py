"""The variants side by side, as a table."""

import math
from dataclasses import replace

import pytest

from components.optimization.pareto import pareto_front, write_table
from components.records.models import RatedVariant
from components.settings.optimization import OptimizationSettings
from tests.components.optimization.graphs_by_hand import measured


def rated(name, folder, loss=0.0, misses=(), **facts):
    """A variant with that loss against fp32's 0.7."""
    return RatedVariant(measured(name, folder, **facts), 0.7 - loss, loss, misses)


def test_the_front_holds_those_that_no_other_beats_in_everything(tmp_path):
    """Slower, larger and worse than another is beaten; better in one thing is not; equal in all is not."""
    variants = [
        rated("fp32", tmp_path, speed=100, megabytes=4),
        rated("fp16", tmp_path, speed=100, megabytes=2),
        rated("int8_dynamic", tmp_path, 0.001, speed=200, megabytes=1),
        rated("int8_static", tmp_path, 0.001, speed=200, megabytes=1),
        rated("pruned", tmp_path, 0.002, speed=190, megabytes=1),
    ]

    assert pareto_front(variants) == {"fp16", "int8_dynamic", "int8_static"}


def test_what_is_not_known_is_not_on_the_front(tmp_path):
    """Without a footprint, or with a loss that is no number, nothing can be compared."""
    dead = rated("fp32", tmp_path)
    dead = replace(dead, variant=replace(dead.variant, footprint=None))

    assert pareto_front([dead, rated("student", tmp_path, math.nan)]) == frozenset()


@pytest.fixture
def table(tmp_path):
    """The lines of the table of a full, a missed and a dead variant."""
    dead = rated("pruned", tmp_path, math.nan, ("it could not be measured: its process died",))
    variants = [
        rated("fp32", tmp_path, megabytes=4),
        rated("student", tmp_path, 0.0012, speed=250_000),
        rated("int8_static", tmp_path, 0.01, ("0.008 over",)),
        replace(dead, variant=replace(dead.variant, footprint=None)),
    ]
    path = write_table(
        tmp_path / "variants.md", variants, {"openvino": "not installed"}, frozenset(["student"]), "student",
        OptimizationSettings(), "roc_auc",
    )  # fmt: skip
    return path.read_text().splitlines()


def test_the_headline_says_what_was_won_and_what_was_paid(table):
    """Times the speed of fp32, and the change of the metric."""
    assert table[0] == "# student is the model: 2.5 x the rows a second of fp32, roc_auc 0.0012 worse"


def test_every_variant_has_a_row_with_all_its_numbers(table):
    """As many cells as heads; dashes where nothing was measured; the front and the chosen one are marked."""
    rows = {line.split("`")[1]: [cell.strip() for cell in line.strip("|").split("|")] for line in table[4:8]}

    assert {len(row) for row in rows.values()} == {len(table[2].strip("|").split("|"))} == {13}
    assert rows["student"][1:4] == ["0.69880", "+0.00120", "1e-07"]
    assert rows["student"][4:] == [
        "0.004 / 0.100", "0.128 / 3.200", "4.096 / 102.400", "250,000", "8", "70", "1.000", "yes", "**yes**",
    ]  # fmt: skip
    assert rows["fp32"][-2:] == ["no", "no"]
    assert rows["pruned"][1:10] == ["-", "-", "1e-07", *["-"] * 6]


def test_below_stands_why_the_others_were_not_taken(table):
    """What was missed, and what could not be built."""
    assert "- `int8_static`: 0.008 over" in table
    assert "- `pruned`: it could not be measured: its process died" in table
    assert "- `openvino`: not installed" in table

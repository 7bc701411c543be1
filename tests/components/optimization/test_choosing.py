"""Which variant becomes the model, and what is said of the others."""

import math
from dataclasses import replace

import pytest

from components.errors import BudgetMissed
from components.optimization.choosing import choose
from components.settings.optimization import BudgetSettings, OptimizationSettings
from tests.components.optimization.graphs_by_hand import fitted, measured

NAMES = ("fp32", "int8_dynamic", "int8_static", "student")


def chosen(variants, folder, *, qualities=None, lower_is_better=False, prefer="speed", **budget):
    """The workshop of variants that are equally good where nothing else is said."""
    qualities = {variant.name: 0.7 for variant in variants} | (qualities or {})
    settings = OptimizationSettings(prefer=prefer, budget=BudgetSettings(**budget))
    metric = "log_loss" if lower_is_better else "roc_auc"
    return choose(
        variants, qualities, {"openvino": "not installed"}, fitted(folder), settings, folder,
        metric=metric, lower_is_better=lower_is_better,
    )  # fmt: skip


def misses(workshop, name):
    """What the variant missed."""
    return next(entry.misses for entry in workshop.rated if entry.variant.name == name)


def test_the_fastest_within_the_budget_is_the_model(tmp_path):
    """Twice as fast, a little worse, within the budget: it is taken."""
    variants = [measured("fp32", tmp_path), measured("student", tmp_path, speed=200_000)]

    workshop = chosen(variants, tmp_path, qualities={"student": 0.699})

    assert workshop.chosen == variants[1]
    assert workshop.rated[1].quality_loss == pytest.approx(0.001)
    assert workshop.left_out == {"openvino": "not installed"}


@pytest.mark.parametrize(("speed", "name"), [(109_000, "fp32"), (110_001, "int8_dynamic")])
def test_less_than_a_tenth_faster_is_a_tie_and_goes_to_the_simpler(speed, name, tmp_path):
    """What a second measurement might turn round is no reason to leave float32."""
    variants = [measured("int8_dynamic", tmp_path, speed=speed), measured("fp32", tmp_path)]

    assert chosen(variants, tmp_path).chosen.name == name


def test_a_variant_over_the_quality_budget_is_never_chosen(tmp_path):
    """However fast and small it is; and the sentence says by how much it missed."""
    variants = [measured("fp32", tmp_path), measured("int8_static", tmp_path, speed=9e9, megabytes=1e-6)]

    workshop = chosen(variants, tmp_path, qualities={"int8_static": 0.69}, max_quality_loss=0.002)

    assert workshop.chosen.name == "fp32"
    assert misses(workshop, "int8_static") == (
        "roc_auc 0.69000 is 0.01000 worse than that of fp32, 0.00800 over max_quality_loss 0.002",
    )


def test_where_lower_is_better_a_higher_loss_is_worse(tmp_path):
    """The metric's direction decides what is a loss."""
    variants = [measured(name, tmp_path, speed=speed) for name, speed in zip(NAMES[:3], (1e5, 2e5, 3e5), strict=True)]

    workshop = chosen(variants, tmp_path, qualities={"int8_dynamic": 0.65, "int8_static": 0.75}, lower_is_better=True)

    assert [round(entry.quality_loss, 3) for entry in workshop.rated] == [0, -0.05, 0.05]
    assert workshop.chosen.name == "int8_dynamic"


def test_openvino_is_measured_and_never_served(tmp_path):
    """The fastest of all, and still only a line of the table."""
    variants = [measured("fp32", tmp_path), measured("openvino", tmp_path, speed=1e6, engine="openvino")]

    workshop = chosen(variants, tmp_path)

    assert workshop.chosen.name == "fp32"
    assert misses(workshop, "openvino") == ("OpenVINO's engine is measured, never served",)


def test_a_variant_whose_process_died_is_never_chosen(tmp_path):
    """Without a footprint nothing is known of its speed."""
    variants = [measured("fp32", tmp_path), replace(measured("student", tmp_path), footprint=None)]

    workshop = chosen(variants, tmp_path)

    assert workshop.chosen.name == "fp32"
    assert misses(workshop, "student") == ("it could not be measured: its process died",)


def test_where_the_metric_is_not_defined_only_fp32_can_be_chosen(tmp_path):
    """Closed by default: a loss that is not known is not within any budget."""
    variants = [measured("fp32", tmp_path), measured("int8_dynamic", tmp_path, speed=1e6)]

    workshop = chosen(variants, tmp_path, qualities={"fp32": math.nan, "int8_dynamic": math.nan})

    assert workshop.chosen.name == "fp32"
    assert misses(workshop, "int8_dynamic") == ("its roc_auc on the validation rows, or that of fp32, is not known",)


def test_a_variant_that_nobody_rated_is_not_chosen(tmp_path):
    """A name missing among the qualities is as unknown as NaN."""
    variants = [measured("fp32", tmp_path), measured("student", tmp_path, speed=1e6)]

    workshop = choose(
        variants, {"fp32": 0.7}, {}, fitted(tmp_path), OptimizationSettings(), tmp_path,
        metric="roc_auc", lower_is_better=False,
    )  # fmt: skip

    assert workshop.chosen.name == "fp32"


@pytest.mark.parametrize(
    ("prefer", "name"), [("speed", "student"), ("size", "int8_static"), ("quality", "int8_dynamic")]
)
def test_what_is_preferred_decides_among_those_that_fit(prefer, name, tmp_path):
    """The fastest, the smallest, or the best; of equally good ones the fastest."""
    variants = [
        measured("fp32", tmp_path, speed=1e5, megabytes=4),
        measured("int8_dynamic", tmp_path, speed=2e5, megabytes=3),
        measured("int8_static", tmp_path, speed=1.9e5, megabytes=1),
        measured("student", tmp_path, speed=3e5, megabytes=2),
    ]
    qualities = {"int8_dynamic": 0.701, "int8_static": 0.701, "student": 0.699}

    assert chosen(variants, tmp_path, qualities=qualities, prefer=prefer).chosen.name == name


def test_when_none_fits_the_table_says_by_how_much_each_missed(tmp_path):
    """Every limit that was missed, with found, difference and limit; the files are there all the same."""
    variants = [
        measured("fp32", tmp_path, p99_ms=7.3, megabytes=12.5),
        measured("student", tmp_path, p99_ms=6, speed=150_000),
    ]

    with pytest.raises(BudgetMissed) as caught:
        chosen(variants, tmp_path, qualities={"student": 0.65}, p99_ms=5, rows_per_second=120_000, max_mb=10)

    assert str(caught.value).splitlines()[1:-1] == [
        "  fp32      12.5 MB, 2.5 MB over max_mb 10",
        "            p99 of one row 7.3 ms, 2.3 ms over p99_ms 5",
        "            100,000 rows a second, 20,000 under rows_per_second 120,000",
        "  student   roc_auc 0.65000 is 0.05000 worse than that of fp32, 0.04800 over max_quality_loss 0.002",
        "            p99 of one row 6 ms, 1 ms over p99_ms 5",
        "  openvino  not built here: not installed",
    ]
    assert "widen the limit that is missed by least, or train a smaller network" in str(caught.value)
    assert (tmp_path / "variants.md").is_file()
    assert (tmp_path / "variants.png").is_file()


def test_training_memory_is_compared_with_that_of_the_chosen_one(tmp_path):
    """560 MB of training over 70 MB of its process is 8; not known where training was not measured."""
    variants = [measured("fp32", tmp_path)]

    workshop = chosen(variants, tmp_path)
    unknown = choose(
        variants, {"fp32": 0.7}, {}, fitted(tmp_path, None), OptimizationSettings(), tmp_path,
        metric="roc_auc", lower_is_better=False,
    )  # fmt: skip

    assert workshop.memory_ratio == 8
    assert unknown.memory_ratio is None

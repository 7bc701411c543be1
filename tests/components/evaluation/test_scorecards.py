"""Scorecards of real graphs: hand-written ones, small enough to know their answers."""

from dataclasses import replace

import numpy as np
import polars
import pytest

from components.errors import ModelRefused, ProjectFileError, SchemaMismatch
from components.evaluation.scorecards import score
from components.records.models import Footprint, Latency
from components.settings.evaluation import EvaluationSettings
from components.settings.project import CostSettings
from tests.components.evaluation.tiny import BINARY, CLASSES, VALUE, rows, split, variant

SETTINGS = EvaluationSettings(metric="roc_auc", slices=("origin", "temp"), slice_rows=400, bootstrap=200)
MEASURED = Footprint(
    (Latency(1, 0.2, 0.5), Latency(32, 0.4, 0.9), Latency(1_024, 2.0, 3.0)),
    rows_per_second=500_000,
    load_ms=12,
    peak_mb=80,
)
BINARY_METRICS = {"roc_auc", "log_loss", "average_precision", "brier", "calibration_error", "accuracy"}


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    """The scorecard of the graph that made the rows, with all there is to ask for."""
    folder = tmp_path_factory.mktemp("card")
    settings = SETTINGS.model_validate(
        SETTINGS.model_dump()
        | {
            "groups": ("origin",),
            "comparators": ("constant", "linear", "trees"),
            "behaviours": (
                {"name": "warm is late", "column": "temp", "change": {"add": 1}, "expect": "up"},
                {"name": "cold is late", "column": "temp", "change": {"add": -1}, "expect": "up"},
            ),
        }
    )
    prices = CostSettings(train_hour=2.0, serve_hour=0.9)
    return score(
        variant(folder, BINARY, footprint=MEASURED), split(folder, BINARY), settings, folder / "out",
        cost=prices, fit_seconds=1_800,
    )  # fmt: skip


def test_a_scorecard_holds_all_metrics_with_their_intervals(card):
    """Every metric of the kind lies between the ends of its interval."""
    assert set(card.intervals) == BINARY_METRICS
    assert (card.rows, card.table_sha256) == (2_000, "a" * 64)
    # The formula is the one that made the rows, so it must be calibrated: 0.04 is the noise of 15 bins of 2,000 rows.
    assert card.metrics["calibration_error"] < 0.04
    for name in BINARY_METRICS - {"calibration_error"}:  # which noise can only raise, so resamples lie above it
        low, high = card.intervals[name]
        assert low < card.metrics[name] < high


def test_latency_size_and_cost_are_metrics_too(card):
    """As they were measured; a million rows at 500,000 a second cost 2 s of 0.9 an hour, half an hour's training 1."""
    assert {name: card.metrics[name] for name in set(card.metrics) - BINARY_METRICS} == pytest.approx(
        {
            "size_mb": 1.5,
            "latency_p50_ms": 0.2,
            "latency_p99_ms": 0.5,
            "rows_per_second": 500_000,
            "load_ms": 12,
            "peak_mb": 80,
            "cost_per_million": 0.9 * 2 / 3_600,
            "training_cost": 1.0,
        }
    )


def test_what_was_not_measured_or_has_no_price_is_left_out(tmp_path):
    """No footprint, no latency; no price, no cost."""
    card = score(
        variant(tmp_path, BINARY), split(tmp_path, BINARY), SETTINGS, tmp_path, fit_seconds=60,
        cost=CostSettings(serve_hour=1.0),
    )  # fmt: skip

    assert set(card.metrics) == BINARY_METRICS | {"size_mb"}


def test_declared_slices_are_scored_by_value_and_by_quarter(card):
    """The slices of a column hold each row once, and each has its metrics."""
    places = [name for name in card.slices if name.startswith("origin=")]
    quarters = [name for name in card.slices if name.startswith("temp=")]

    assert sorted(places) == ["origin=EWR", "origin=JFK"]
    assert sum(card.slices[name]["rows"] for name in places) == 2_000
    assert [card.slices[name]["rows"] for name in quarters] == [500] * 4
    assert all(set(card.slices[name]) >= BINARY_METRICS for name in places)


def test_a_slice_that_nobody_declared_is_found(tmp_path):
    """Where the labels of one airport are turned round, the search says so, with the metrics there."""
    turned = rows().with_columns(
        late=polars.col("late") ^ ((polars.col("origin") == "JFK") & (polars.col("temp") > 0.5))
    )
    settings = SETTINGS.model_copy(update={"slices": (), "slice_rows": 200})

    card = score(variant(tmp_path, BINARY), split(tmp_path, BINARY, turned), settings, tmp_path)

    worst = next(iter(card.found_slices))
    assert worst.startswith("temp=over ")
    assert worst.endswith(" & origin=JFK")
    assert card.found_slices[worst]["log_loss"] > 2 * card.metrics["log_loss"]
    assert card.found_slices[worst]["roc_auc"] < 0.5


def test_margins_say_how_much_better_it_is_than_simple_models(card, tmp_path):
    """The formula that made the rows beats a constant by far, and a line, which can learn it, by hardly anything."""
    assert card.margins["constant"] == pytest.approx(card.metrics["roc_auc"] - 0.5)
    assert card.margins["linear"] == pytest.approx(0, abs=0.01)
    assert card.margins["trees"] > 0


def test_a_margin_is_positive_for_the_better_model_whatever_the_direction(tmp_path):
    """Of an error, less is a gain."""
    settings = SETTINGS.model_copy(update={"metric": "rmse"})

    good = score(variant(tmp_path, VALUE, weight=3.0), split(tmp_path, VALUE), settings, tmp_path)
    bad = score(variant(tmp_path, VALUE, weight=-3.0), split(tmp_path, VALUE), settings, tmp_path)

    assert good.margins["constant"] > 3
    assert bad.margins["constant"] < -3


def test_gaps_and_behaviours_stand_in_it(card):
    """The gaps of the declared groups, and each behaviour with its outcome."""
    assert card.gaps["origin"]["roc_auc_difference"] == pytest.approx(
        abs(card.slices["origin=EWR"]["roc_auc"] - card.slices["origin=JFK"]["roc_auc"])
    )
    assert card.gaps["origin"]["demographic_parity_difference"] > 0.1, "EWR is called late more often, as it is"
    assert [(rule.name, rule.passed) for rule in card.behaviours] == [("warm is late", True), ("cold is late", False)]


def test_pictures_and_page_are_files(card):
    """One PNG a picture, and the page beside them."""
    names = [path.stem for path in card.plots]

    assert names == ["roc_curve", "precision_recall", "calibration", "probabilities", "confusion_matrix", "slices"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in card.plots)
    assert card.page is not None
    assert card.page.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("schema", "metric", "pictures"),
    [
        (CLASSES, "macro_f1", ["confusion_matrix", "calibration", "slices"]),
        (VALUE, "rmse", ["predicted_and_true", "residuals", "slices"]),
    ],
    ids=["multiclass", "regression"],
)
def test_other_kinds_have_their_own_metrics_and_pictures(tmp_path, schema, metric, pictures):
    """A multiclass target gets a confusion matrix, a regression its residuals; both have all else."""
    settings = SETTINGS.model_copy(update={"metric": metric, "groups": ("origin",)})

    card = score(variant(tmp_path, schema, weight=3.0), split(tmp_path, schema), settings, tmp_path)

    assert [path.stem for path in card.plots] == pictures
    assert card.margins["constant"] > 0
    assert card.gaps["origin"][f"{metric}_difference"] >= 0
    assert card.intervals[metric][0] < card.metrics[metric] < card.intervals[metric][1]


def test_rows_on_which_the_metric_is_not_defined_give_a_card_without_it(tmp_path):
    """Rows of one class have no ROC AUC, no margins in it and no picture of it, and the page says so."""
    never = rows().with_columns(late=polars.lit(False))

    card = score(variant(tmp_path, BINARY), split(tmp_path, BINARY, never), SETTINGS, tmp_path)

    assert "roc_auc" not in card.metrics
    assert "accuracy" in card.metrics
    assert card.margins == {}
    assert card.plots == ()
    assert "ROC AUC could not be measured on 2,000 rows" in card.page.read_text(encoding="utf-8")


def test_a_model_of_broken_answers_has_a_card_all_the_same(tmp_path):
    """Where an answer is not finite nothing is measured, nothing is drawn, and nothing falls over."""
    settings = SETTINGS.model_copy(update={"metric": "rmse"})
    endless = rows().with_columns(temp=polars.when(polars.col("temp") > 1).then(float("inf")).otherwise("temp"))

    card = score(variant(tmp_path, VALUE), split(tmp_path, VALUE, endless), settings, tmp_path)

    assert set(card.metrics) == {"size_mb"}
    assert (card.intervals, card.margins, card.plots) == ({}, {}, ())


def test_the_same_model_on_the_same_rows_has_the_same_card(tmp_path):
    """Resamples and comparators are seeded."""
    parts = split(tmp_path, BINARY)
    settings = SETTINGS.model_copy(update={"comparators": ("trees",)})

    one, two = (score(variant(tmp_path, BINARY), parts, settings, tmp_path / name) for name in ("one", "two"))

    assert replace(one, plots=(), page=None) == replace(two, plots=(), page=None)


def test_mistakes_of_the_project_file_are_told_before_anything_is_scored(tmp_path):
    """A metric of another kind, an impossible behaviour, a misspelt slice or group."""
    parts, of_values = split(tmp_path, VALUE), variant(tmp_path, VALUE)
    impossible = {"name": "b", "column": "origin", "change": {"add": 1}, "expect": "up"}

    with pytest.raises(ProjectFileError, match=r"one of rmse, mae, r2"):
        score(of_values, parts, SETTINGS, tmp_path)
    with pytest.raises(ProjectFileError, match=r"'b' calculates with 'origin'"):
        score(of_values, parts, EvaluationSettings(metric="rmse", behaviours=(impossible,)), tmp_path)
    with pytest.raises(SchemaMismatch, match=r"evaluation.groups name \['orign'\]"):
        score(of_values, parts, EvaluationSettings(metric="rmse", groups=("orign",)), tmp_path)


def test_a_file_that_is_no_graph_is_refused(tmp_path):
    """Bytes that onnxruntime cannot read are refused with the path."""
    broken = variant(tmp_path, BINARY)
    broken.path.write_bytes(b"not a graph")

    with pytest.raises(ModelRefused, match=r"binary.onnx must be an ONNX graph"):
        score(broken, split(tmp_path, BINARY), SETTINGS, tmp_path)


@pytest.mark.filterwarnings("ignore:Glyph .* missing from font")  # the picture shows a box, the page the letter
def test_names_of_any_letters_are_scored_and_drawn(tmp_path):
    """Categories with markup, dollars, emoji and long names break neither pictures nor page."""
    odd = ["<script>alert(1)</script>", "$a_b$ & co", "Zürich 🛫 東京", "x" * 200]
    frame = rows().with_columns(origin=polars.Series(np.random.default_rng(0).choice(odd, 2_000).tolist()))

    card = score(variant(tmp_path, BINARY), split(tmp_path, BINARY, frame), SETTINGS, tmp_path)

    assert {f"origin={name}" for name in odd} <= set(card.slices)
    page = card.page.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "origin=&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "Zürich 🛫 東京" in page

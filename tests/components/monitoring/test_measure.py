"""A window is measured with Evidently itself, and whatever stands in it, there are facts afterwards."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from evidently.ui.workspace import Workspace

from components.errors import DataError, ProjectFileError
from components.monitoring.measure import measure
from components.monitoring.telling import window_name
from components.monitoring.workspace import project_id, run_id
from components.records.rows import TargetKind
from components.records.watching import Window, WindowFacts
from components.settings.serving import ServingSettings
from tests.components.monitoring.made import WINDOW, answered, files_of, measured, project, rows


def test_a_window_like_the_training_rows_has_not_drifted(tmp_path: Path):
    """No column moved, not even one whose values hardly ever come twice; quality is measured, and a page made."""
    facts = measured(answered(rows(2_000)), tmp_path)

    assert (facts.rows, facts.labelled_rows, facts.version) == (2_000, 1_600, 4)
    assert (facts.drifted_columns, facts.drift_share, facts.prediction_drifted) == ((), 0.0, False)
    assert facts.broken_columns == ()
    assert facts.quality == pytest.approx(0.9, abs=0.1)
    assert facts.reference_quality == 0.7
    page = Path(facts.report)
    assert page == tmp_path / "reports" / "2013-06-01..2013-06-15.html"
    assert "Each column beside the training rows" in page.read_text(encoding="utf-8")


def test_a_warmer_window_has_drifted_and_so_have_its_answers(tmp_path: Path):
    """One of four columns by more than its effect size; a higher one for that column alone lets it pass."""
    warm = answered(rows(2_000, warmer=2.5))

    strict = measured(warm, tmp_path)
    lenient = measured(warm, tmp_path, project(column_thresholds={"temp": 1.0, "prediction": 1.0}))

    assert (strict.drifted_columns, strict.drift_share, strict.prediction_drifted) == (("temp",), 0.25, True)
    assert (lenient.drifted_columns, lenient.drift_share, lenient.prediction_drifted) == ((), 0.0, False)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_the_facts_without_a_page_are_those_with_one(kind: TargetKind, tmp_path: Path):
    """A replay of a year measures as the monitor does, and draws and keeps nothing."""
    warm = answered(rows(2_000, warmer=2.5), kind)
    policy = project(kind, "accuracy" if kind != "regression" else "rmse")
    with_page = measured(warm, tmp_path, policy, kind)
    before = sorted(tmp_path.rglob("*"))

    facts = measure(warm, files_of(tmp_path, kind), policy, WINDOW, workspace=None, out=None)

    assert facts == replace(with_page, report="")
    assert facts.drifted_columns == ("temp",)
    assert sorted(tmp_path.rglob("*")) == before


def test_columns_that_the_ledger_does_not_hold_are_neither_broken_nor_drifted(tmp_path: Path):
    """What is hashed, absent or not on the allow-list comes back as missing, and that says nothing about the world."""
    serving = ServingSettings(private={"tail": "hash"}, ledger_columns=("temp", "wind", "tail"))
    policy = project().model_copy(update={"serving": serving})
    hidden = rows(2_000, warmer=2.5).with_columns(pl.lit(None, pl.String).alias(name) for name in ("tail", "origin"))

    facts = measured(answered(hidden), tmp_path, policy)
    without_settings = measured(answered(hidden), tmp_path)

    assert facts.broken_columns == ()
    assert (facts.drifted_columns, facts.drift_share) == (("temp",), 0.5)
    assert without_settings.broken_columns == ("origin", "tail")


def test_measuring_again_gives_the_same_facts_and_one_run(tmp_path: Path):
    """A retried step neither changes the numbers nor adds a point to the dashboard."""
    frame = answered(rows(3_000))
    policy = project(sample_rows=500)

    first, second = measured(frame, tmp_path, policy), measured(frame, tmp_path, policy)

    assert first == second
    workspace = Workspace(str(tmp_path / "evidently"))
    assert [str(run) for run in workspace.list_runs(project_id("flights"))] == [str(run_id("flights", WINDOW))]


def test_the_dashboard_is_made_once_and_dates_runs_by_event_time(tmp_path: Path):
    """Panels that people arranged stay; a run of last June stands in last June, with the numbers of all its rows."""
    measured(answered(rows(2_000)), tmp_path)
    workspace = Workspace(str(tmp_path / "evidently"))
    workspace.get_project(project_id("flights")).dashboard.delete_panel("Missing values", "Fitness")
    measured(answered(rows(1_500)), tmp_path)

    (found,) = workspace.list_projects()
    run = workspace.get_run(found.id, run_id("flights", WINDOW))

    assert found.name == "flights"
    titles = [panel.title for panel in found.dashboard.model().panels]
    assert titles[:2] == ["Share of input columns that drifted", "Quality: roc_auc"]
    assert len(titles) == len(set(titles))
    assert "Missing values" not in titles
    assert run.timestamp == datetime(2013, 6, 15)  # noqa: DTZ001  Evidently's own times have no zone
    values = {
        result.metric_value_location.metric.params.get("name"): result.value
        for result in run.metric_results.values()
        if "Measured" in result.metric_value_location.metric.params["type"]
    }
    assert (values["rows"], values["labelled_rows"], values["drift_share"]) == (1_500, 1_200, 0)


def test_an_empty_window_is_a_fact_and_no_error(tmp_path: Path):
    """Nobody asked for a prediction: zeros, no page."""
    facts = measured(answered(rows(10)).clear(), tmp_path)

    assert facts == WindowFacts(WINDOW, 4, 0, 0, reference_quality=0.7)
    assert not (tmp_path / "reports").exists()


def test_few_rows_make_a_page_but_no_claim_about_drift(tmp_path: Path):
    """A few hundred rows can be looked at; 49 cannot even be drawn."""
    some = measured(answered(rows(300, warmer=20)), tmp_path)
    few = measured(answered(rows(49, warmer=20)), tmp_path)

    assert (some.drift_share, some.prediction_drifted, some.drifted_columns, some.quality) == (None, None, (), None)
    assert Path(some.report).exists()
    assert (few.rows, few.drift_share, few.report) == (49, None, "")


@pytest.mark.parametrize(
    ("column", "damage"),
    [
        ("temp", pl.lit(None, dtype=pl.Float64)),
        ("temp", pl.lit(float("nan"))),
        ("temp", pl.lit(float("inf"))),
        ("temp", pl.when(pl.int_range(pl.len()) % 2 == 0).then("temp")),
        ("origin", pl.lit(None, dtype=pl.String)),
        ("origin", pl.lit("")),
    ],
    ids=["all missing", "all NaN", "all infinite", "half missing", "no category", "empty text"],
)
def test_broken_columns_are_named_and_the_others_measured(tmp_path: Path, column: str, damage: pl.Expr):
    """What makes Evidently raise, or what it does not see, ends neither the window nor the page."""
    facts = measured(answered(rows(1_200)).with_columns(damage.alias(column)), tmp_path)

    assert facts.broken_columns == (column,)
    assert facts.drift_share is not None
    assert Path(facts.report).exists()


def test_an_absent_column_is_broken(tmp_path: Path):
    """The application stopped sending it."""
    facts = measured(answered(rows(1_200)).drop("wind", "tail"), tmp_path)

    assert facts.broken_columns == ("wind", "tail")
    assert facts.drift_share == 0


@pytest.mark.parametrize("column", ["temp", "origin"])
def test_a_constant_column_has_drifted_and_is_not_broken(tmp_path: Path, column: str):
    """It holds values, only always the same."""
    constant = {"temp": 25.0, "origin": "EWR"}[column]

    facts = measured(answered(rows(1_200)).with_columns(pl.lit(constant).alias(column)), tmp_path)

    assert (facts.drifted_columns, facts.broken_columns) == ((column,), ())


@pytest.mark.parametrize("label", [1, 7])
def test_labels_of_one_class_or_of_none_leave_the_quality_open(tmp_path: Path, label: int):
    """The page is made without it."""
    facts = measured(answered(rows(1_200)).with_columns(label=pl.lit(label)), tmp_path)

    assert (facts.quality, facts.labelled_rows) == (None, 1_200)
    assert Path(facts.report).exists()


@pytest.mark.parametrize(
    ("kind", "metric", "low", "high"), [("multiclass", "accuracy", 0.7, 1.0), ("regression", "rmse", 0.9, 1.1)]
)
def test_other_kinds_of_target_are_watched_too(tmp_path: Path, kind: TargetKind, metric: str, low: float, high: float):
    """Classes by name, and values in their unit; the drift of their answers is seen as well."""
    warm = answered(rows(1_500, warmer=5), kind)

    facts = measured(warm, tmp_path, project(kind, metric), kind)

    assert facts.quality is not None
    assert low <= facts.quality <= high
    assert facts.prediction_drifted is True


def test_an_unknown_metric_and_a_time_without_a_zone_are_refused(tmp_path: Path):
    """Before anything is read or written."""
    with pytest.raises(ProjectFileError, match="did you mean 'roc_auc'"):
        measured(answered(rows(60)), tmp_path, project(metric="auc_roc"))
    naive = Window(datetime(2013, 6, 1), WINDOW.end)  # noqa: DTZ001  what is refused
    with pytest.raises(DataError, match="2013-06-01 00:00:00 has no zone"):
        measure(rows(0), files_of(tmp_path), project(), naive, workspace=tmp_path, out=tmp_path)

    assert not (tmp_path / "evidently").exists()


def test_windows_of_one_day_have_names_of_their_own():
    """Two half days do not overwrite each other's page."""
    noon = WINDOW.start + timedelta(hours=12)

    names = [window_name(Window(WINDOW.start, noon)), window_name(Window(noon, noon + timedelta(hours=12)))]

    assert names == ["2013-06-01T000000..2013-06-01T120000", "2013-06-01T120000..2013-06-02T000000"]

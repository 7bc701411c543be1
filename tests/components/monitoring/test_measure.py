"""A window is measured with Evidently itself, and whatever stands in it, there are facts afterwards."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import onnx
import polars as pl
import pytest
from evidently.ui.workspace import Workspace
from onnx import TensorProto, helper

from components.errors import DataError, ProjectFileError
from components.monitoring.measure import measure
from components.monitoring.telling import window_name
from components.monitoring.workspace import project_id, run_id
from components.records.models import ModelFiles, ModelVersion
from components.records.rows import Column, Schema, TargetKind
from components.records.watching import Window, WindowFacts
from components.settings.project import Project
from components.settings.serving import ServingSettings

WINDOW = Window(datetime(2013, 6, 1, tzinfo=UTC), datetime(2013, 6, 15, tzinfo=UTC))
CLASSES = ("early", "late", "never")
# What the little graphs answer with, by kind of target: input `temp`, centred on 10.
OUTPUTS = {"binary": ("prediction", "probability"), "multiclass": ("prediction",), "regression": ("prediction",)}


def rows(count: int, *, seed: int = 1, warmer: float = 0.0) -> pl.DataFrame:
    """Weather and routes, with a tail number that hardly ever comes twice."""
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "temp": rng.normal(10 + warmer, 5, count),
            "wind": rng.gamma(2, 3, count),
            "origin": rng.choice(["EWR", "JFK", "LGA"], count),
            "tail": rng.integers(0, 4_000, count).astype(str),
        }
    )


def write_graph(path: Path, kind: TargetKind) -> None:
    """An ONNX graph whose answer rises with the temperature."""
    names = ["temp", "wind", "origin", "tail"]
    types = [TensorProto.DOUBLE, TensorProto.DOUBLE, TensorProto.STRING, TensorProto.STRING]
    inputs = [helper.make_tensor_value_info(n, t, ["rows"]) for n, t in zip(names, types, strict=True)]
    nodes = [
        helper.make_node("Constant", [], ["ten"], value=helper.make_tensor("ten", TensorProto.DOUBLE, [], [10.0])),
        helper.make_node("Sub", ["temp", "ten"], ["centred"]),
        helper.make_node("Sigmoid", ["centred"], ["chance"]),
        helper.make_node("Cast", ["chance"], ["probability"], to=TensorProto.FLOAT),
    ]
    answer, out = TensorProto.INT64, [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["rows"])]
    if kind == "regression":
        answer = TensorProto.DOUBLE
        nodes.append(helper.make_node("Identity", ["centred"], ["prediction"]))
    else:
        nodes += [helper.make_node("Round", ["chance"], ["whole"])]
        nodes += [helper.make_node("Cast", ["whole"], ["prediction"], to=TensorProto.INT64)]
    out.append(helper.make_tensor_value_info("prediction", answer, ["rows"]))
    graph = helper.make_graph(nodes, "little", inputs, out)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


def files_of(folder: Path, kind: TargetKind = "binary") -> ModelFiles:
    """A version's files: its graph and 2,000 of the rows it learned from."""
    write_graph(folder / "model.onnx", kind)
    rows(2_000, seed=0).write_parquet(folder / "reference.parquet")
    columns = (
        Column("temp", "number"),
        Column("wind", "number"),
        Column("origin", "category"),
        Column("tail", "category"),
    )
    schema = Schema(columns, "late", kind, "at", classes=CLASSES if kind == "multiclass" else ())
    version = ModelVersion("flights", 4, "run", "0" * 64)
    metrics = {"roc_auc": 0.7, "accuracy": 0.8, "rmse": 1.0}
    return ModelFiles(version, folder / "model.onnx", schema, folder / "reference.parquet", metrics, "0" * 64)


def project(kind: TargetKind = "binary", metric: str = "roc_auc", **monitoring) -> Project:
    """The defaults, unless said otherwise."""
    source = {"class_path": "components.data.sources.Csv"}
    return Project.model_validate(
        {
            "name": "flights",
            "data": {"source": source, "target": {"column": "late", "kind": kind}, "timestamp": "at"},
            "evaluation": {"metric": metric},
            "monitoring": monitoring,
            "file": Path("flights.yaml"),
            "sha256": "0" * 64,
        }
    )


def answered(frame: pl.DataFrame, kind: TargetKind = "binary", *, labelled: float = 0.8) -> pl.DataFrame:
    """The rows as the ledger gives them back: with the graph's answers, and labels for the first of them."""
    rng = np.random.default_rng(3)
    centred = frame["temp"].fill_nan(10.0).fill_null(10.0).cast(pl.Float64).to_numpy() - 10
    chance = 1 / (1 + np.exp(-centred))
    truth = (chance + rng.normal(0, 0.5, frame.height) > 0.5).astype(int)
    answers = {"prediction": centred if kind == "regression" else np.round(chance).astype(int)}
    labels = {
        "binary": pl.Series("label", truth),
        "regression": pl.Series("label", centred + rng.normal(0, 1, frame.height)),
        "multiclass": pl.Series("label", [CLASSES[code] for code in truth], dtype=pl.String),
    }[kind]
    if kind == "binary":
        answers["probability"] = chance
    seen = pl.int_range(pl.len()) < labelled * frame.height
    at = pl.lit(WINDOW.start).alias("at")
    live = frame.with_columns(at, *(pl.Series(name, values) for name, values in answers.items()), labels)
    return live.with_columns(label=pl.when(seen).then("label"), version=pl.lit(4))


def measured(
    frame: pl.DataFrame, folder: Path, policy: Project | None = None, kind: TargetKind = "binary"
) -> WindowFacts:
    """The facts of the window that holds this frame."""
    files = files_of(folder, kind)
    return measure(frame, files, policy or project(), WINDOW, workspace=folder / "evidently", out=folder / "reports")


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
    assert "How far each column moved from the training rows" in page.read_text(encoding="utf-8")


def test_a_warmer_window_has_drifted_and_so_have_its_answers(tmp_path: Path):
    """One of four columns by more than its effect size; a higher one for that column alone lets it pass."""
    warm = answered(rows(2_000, warmer=2.5))

    strict = measured(warm, tmp_path)
    lenient = measured(warm, tmp_path, project(column_thresholds={"temp": 1.0, "prediction": 1.0}))

    assert (strict.drifted_columns, strict.drift_share, strict.prediction_drifted) == (("temp",), 0.25, True)
    assert (lenient.drifted_columns, lenient.drift_share, lenient.prediction_drifted) == ((), 0.0, False)


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

"""Three ways to fool oneself on a month of real flights, with a model that is really fitted: three other refusals."""

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import polars
import pytest
from sklearn.linear_model import LogisticRegression

from components.data.kinds import typed
from components.data.leaks import check_leaks
from components.data.schema import infer_schema
from components.data.splits import split
from components.data.tables import ingest
from components.errors import LeakFound
from components.evaluation.contest import Contender, contest
from components.settings.reading import load_project
from tests.components.evaluation.sides import failed

ROOT = Path(__file__).parents[3]
FLIGHTS = load_project(ROOT / "deploy/projects/flight-delays.yaml")
# A contest alone: behaviours are run with the scorecard.
JUDGED = FLIGHTS.evaluation.model_copy(update={"minimum": None, "behaviours": ()})
# Columns that a logistic regression can learn from as they are.
NUMBERS = ("sched_dep_minute", "temp", "humid", "wind_speed", "precip", "visib", "pressure")

HEADER = (
    '<ir_version: 10, opset_import: ["": 20]> flights (INPUTS) => (int64[rows] prediction, float[rows] probability) {'
)
FOOTER = """
    score = Cast <to = 1> (LAST)
    probability = Sigmoid (score)
    half = Constant <value = float {0.5}> ()
    above = GreaterOrEqual (probability, half)
    prediction = Cast <to = 7> (above)
}"""


def month(folder, shuffled=False):
    """The flights of January divided by days; with their labels dealt out anew if asked for."""
    source = importlib.import_module("flight_delays").NycFlights(last="2013-01-31").frame()
    if shuffled:
        source = source.with_columns(polars.col("late").shuffle(seed=1))
    source.write_parquet(folder / "january.parquet")
    parquet = {"class_path": "components.data.sources.Parquet", "init_args": {"path": "january.parquet"}}
    days = {"test_days": 7, "validation_days": 2, "reference_rows": 500, "holdout_share": 0.1}
    data = FLIGHTS.data.model_dump() | {"source": parquet, "split": days}
    project = type(FLIGHTS).model_validate(
        FLIGHTS.model_dump() | {"data": data, "file": folder / "x.yaml", "sha256": "0"}
    )
    table = ingest(project, folder / "table")
    schema = infer_schema(polars.read_delta(str(table.path)), project.data)
    return split(table, schema, project, folder / "parts")


def fitted(parts, folder):
    """A logistic regression on the training part, as a graph from raw row to prediction."""
    train = polars.read_parquet(parts.train.path)
    rows = train.select(NUMBERS).to_numpy()
    middle, spread = np.nanmean(rows, axis=0), np.nanstd(rows, axis=0)
    model = LogisticRegression().fit(np.nan_to_num((rows - middle) / spread), train["late"].to_numpy())
    linear = dict(zip(NUMBERS, zip(middle, model.coef_[0] / spread, strict=True), strict=True))
    return Contender(graph(parts.schema, linear, model.intercept_[0], folder / "model.onnx"), parts.schema)


def graph(schema, linear, intercept, path):
    """The sum of every number's distance from its middle times its weight; other columns are not looked at."""
    kinds = {"number": "double", "category": "string"}
    inputs = ", ".join(f"{kinds[column.kind]}[rows] {column.name}" for column in schema.features)
    lines = [f"sum0 = Constant <value = double[1] {{{intercept:.9f}}}> ()"]
    for place, (name, (middle, weight)) in enumerate(linear.items()):
        lines += [
            f"middle{place} = Constant <value = double[1] {{{middle:.9f}}}> ()",
            f"weight{place} = Constant <value = double[1] {{{weight:.9f}}}> ()",
            f"missing{place} = IsNaN ({name})",
            f"known{place} = Where (missing{place}, middle{place}, {name})",
            f"distance{place} = Sub (known{place}, middle{place})",
            f"term{place} = Mul (distance{place}, weight{place})",
            f"sum{place + 1} = Add (sum{place}, term{place})",
        ]
    text = HEADER.replace("INPUTS", inputs) + "\n".join(lines) + FOOTER.replace("LAST", f"sum{len(linear)}")
    path.write_bytes(onnx.parser.parse_model(text).SerializeToString())
    return path


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """January as it was, and a model of it."""
    folder = tmp_path_factory.mktemp("honest")
    parts = month(folder)
    return parts, fitted(parts, folder)


def test_an_honest_model_is_promoted(honest):
    """The same road without a mistake leads to a promotion, so each refusal below is for its own reason."""
    parts, model = honest

    verdict = contest(model, None, parts, JUDGED)

    assert verdict.promote, verdict.reason
    assert 0.55 < verdict.candidate < 0.75


def test_a_model_of_corrupted_labels_has_learned_nothing(tmp_path):
    """Labels dealt out anew leave nothing to learn: the judge sees that it is no better than a constant."""
    parts = month(tmp_path, shuffled=True)

    verdict = contest(fitted(parts, tmp_path), None, parts, JUDGED)

    assert verdict.outcome == "reject"
    assert failed(verdict) == ["beats"]
    assert "worth no more than a model that has learned nothing" in verdict.reason


def test_a_leaked_target_is_refused_before_anything_is_learned():
    """The delay at departure is known when it is too late; the guard names it and says what to do."""
    data = FLIGHTS.data.model_copy(update={"drop": tuple(set(FLIGHTS.data.drop) - {"dep_delay"})})
    flights = importlib.import_module("flight_delays").NycFlights(last="2013-01-31").frame().drop(data.drop)
    frame = typed(flights, data, "flights").drop_nulls("late")

    with pytest.raises(LeakFound, match=r"but 'dep_delay' reaches 0\.\d+; if it is known only afterwards put it under"):
        check_leaks(frame, infer_schema(frame, data), data)


@pytest.mark.parametrize("part", ["validation", "test"])
def test_training_rows_are_no_exam(honest, part):
    """A model that was chosen or is judged on what it learned is refused, however well it does."""
    parts, model = honest

    verdict = contest(model, None, replace(parts, **{part: parts.train}), JUDGED)

    assert verdict.outcome == "reject"
    assert "rows_apart" in failed(verdict)
    assert "must not be among those it learned from" in verdict.reason

"""How good each variant is on the validation rows."""

import math
from dataclasses import replace

import polars
import pytest
from sklearn.metrics import roc_auc_score

from components.data.feeds import feeds
from components.errors import TableMismatch
from components.evaluation.rating import rate
from components.optimization.engines import open_engine
from components.records.models import Footprint
from components.settings.evaluation import EvaluationSettings
from tests.components.optimization.graphs_by_hand import GRAPH, SCHEMA, part, variant

SETTINGS = EvaluationSettings(metric="roc_auc")
MEASURED = Footprint((), 1.0, 1.0, 1.0)
# The same graph turned round: what was sure is least sure.
TURNED = GRAPH.replace("probability = Sigmoid (scores)", "turned = Neg (scores) probability = Sigmoid (turned)")


def graph(name, folder, text=GRAPH, **facts):
    """A variant that counts as measured."""
    return variant(name, folder, text, footprint=MEASURED, **facts)


def test_each_variant_is_rated_by_its_own_answers(tmp_path):
    """The metric of the graph as it is served, by name and in order, equal to scikit-learn's."""
    rows = part(tmp_path, 200)
    frame = polars.read_parquet(rows.path)

    qualities = rate([graph("fp32", tmp_path), graph("student", tmp_path, TURNED)], rows, SETTINGS)

    probability = open_engine(graph("fp32", tmp_path)).run(feeds(frame, SCHEMA))["probability"]
    wanted = roc_auc_score(frame["late"], probability)
    assert list(qualities) == ["fp32", "student"]
    # torchmetrics adds the area up in float32: seven digits.
    assert qualities["fp32"] == pytest.approx(wanted, abs=1e-6)
    assert qualities["student"] == pytest.approx(1 - wanted, abs=1e-6)


def test_another_engine_is_rated_by_the_answers_it_left(tmp_path):
    """The graph of an OpenVINO variant is not asked; the file beside it is."""
    rows = part(tmp_path, 200)
    late = polars.read_parquet(rows.path)["late"]
    kept = polars.DataFrame({"prediction": late, "probability": late.cast(polars.Float32)})
    kept.write_parquet(tmp_path / "answers.parquet")
    other = graph("openvino", tmp_path, TURNED, engine="openvino", answers=tmp_path / "answers.parquet")

    assert rate([other], rows, SETTINGS) == {"openvino": 1.0}


def test_answers_to_other_rows_are_refused(tmp_path):
    """Fewer answers than rows would be compared with the wrong labels."""
    rows = part(tmp_path, 200)
    polars.DataFrame({"prediction": [1], "probability": [0.9]}).write_parquet(tmp_path / "answers.parquet")
    other = graph("openvino", tmp_path, engine="openvino", answers=tmp_path / "answers.parquet")

    with pytest.raises(TableMismatch, match=r"must answer the 200 rows .* but holds 1 answers"):
        rate([other], rows, SETTINGS)


def test_rows_of_one_class_leave_the_quality_unknown(tmp_path, caplog):
    """An area under the ROC curve needs both classes: NaN and a warning, not an end of the run."""
    rows = part(tmp_path, 200)
    polars.read_parquet(rows.path).with_columns(late=0).write_parquet(rows.path)

    qualities = rate([graph("fp32", tmp_path)], rows, SETTINGS)

    assert str(qualities) == "{'fp32': nan}"
    assert "variant not rated name=fp32 reason=roc_auc wants finite predictions" in caplog.text


def test_what_could_not_be_measured_or_run_is_not_rated(tmp_path, caplog):
    """What ended a process of its own is not tried in this one; a broken file costs the others nothing."""
    rows = part(tmp_path, 200)
    broken = replace(graph("int8_static", tmp_path), path=tmp_path / "none.onnx")
    lost = graph("openvino", tmp_path, engine="openvino")

    qualities = rate([variant("student", tmp_path), broken, lost, graph("fp32", tmp_path)], rows, SETTINGS)

    assert [name for name, quality in qualities.items() if not math.isnan(quality)] == ["fp32"]
    assert "name=student reason=it was not measured" in caplog.text
    assert (
        "name=openvino reason=the variant openvino runs in openvino, so its answers must lie in a file" in caplog.text
    )


def test_without_variants_there_is_nothing_to_rate(tmp_path):
    """And no file is read."""
    assert rate([], part(tmp_path), SETTINGS) == {}

"""What a version takes and gives is told to programs; what the machine is like is told to nobody."""

from dataclasses import replace

import pytest

from components.serving.refusals import without_folders
from components.serving.signatures import signature
from tests.components.serving import tiny


def test_inputs_are_told_with_types_and_ranges():
    """Every column of a request, those beside the features included."""
    assert signature(tiny.SCHEMA)["inputs"] == [
        {"name": "temp", "type": "number", "required": False, "low": -10.0, "high": 40.0},
        {"name": "wind speed", "type": "number", "required": True, "low": 0.0, "high": 3.0},
        {"name": "carrier", "type": "string", "required": False, "values": ["UA", "日本", "a|b<c>"]},
        {"name": "tail", "type": "string", "required": True},
        {"name": "at", "type": "date-time", "required": False},
        {"name": "flight id", "type": "string or integer", "required": False},
    ]


@pytest.mark.parametrize(
    ("kind", "names", "values"),
    [
        ("binary", ["id", "prediction", "probability"], [0, 1]),
        ("regression", ["id", "prediction"], None),
        ("multiclass", ["id", "prediction", "probabilities"], ["calm", "windy"]),
    ],
)
def test_outputs_are_told_for_each_kind_of_target(kind: str, names: list[str], values: list[object] | None):
    """The same names as in the answers."""
    schema = replace(tiny.SCHEMA, target_kind=kind, classes=("calm", "windy") if kind == "multiclass" else ())

    outputs = signature(schema)["outputs"]

    assert [one["name"] for one in outputs] == names
    assert outputs[1].get("values") == values


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("delete /srv/home/cache/a/3 to download it", "delete 3 to download it"),
        ("[Errno 13] Permission denied: '/srv/x/model.onnx'", "[Errno 13] Permission denied: 'model.onnx'"),
        ("MLflow at http://127.0.0.1:5000/api/2.0 is down", "MLflow at http://127.0.0.1:5000/api/2.0 is down"),
        ("wanted 1/2 of GET /model", "wanted 1/2 of GET /model"),
    ],
)
def test_a_sentence_for_those_outside_names_no_folder(said: str, told: str):
    """Files keep their name, addresses and routes stay."""
    assert without_folders(said) == told

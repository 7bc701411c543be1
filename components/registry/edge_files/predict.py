"""Answers rows with the model beside this file: `python predict.py rows.json`, or with the rows on standard input.

Rows are a JSON list of objects of raw columns. A missing value is null or left out. Columns and classes are read from
the model itself; nothing but numpy and onnxruntime is needed.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the import: it reports to its maker unless told otherwise
import onnxruntime

MODEL = Path(__file__).with_name("model.onnx")


def text(value: Any) -> str:
    """A category as it was in training: 3 and 3.0 are "3", true is "true", a missing one is ""."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def predict(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each row the prediction, and the probability of 1 or of each class."""
    session = onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])
    columns = {}
    for column in session.get_inputs():
        values = [row.get(column.name) for row in rows]
        is_text = column.type == "tensor(string)"
        columns[column.name] = np.array([*map(text, values)], object) if is_text else np.array(values, np.float64)
    names = [output.name for output in session.get_outputs()]
    answers = dict(zip(names, [values.tolist() for values in session.run(names, columns)], strict=True))
    if "probabilities" in answers:
        classes = json.loads(session.get_modelmeta().custom_metadata_map["schema"])["classes"]
        answers["prediction"] = [classes[number] for number in answers["prediction"]]
        answers["probabilities"] = [dict(zip(classes, shares, strict=True)) for shares in answers["probabilities"]]
    return [dict(zip(answers, row, strict=True)) for row in zip(*answers.values(), strict=True)]


if __name__ == "__main__":
    asked = Path(sys.argv[1]).read_text(encoding="utf-8") if len(sys.argv) > 1 else sys.stdin.read()
    print(json.dumps(predict(json.loads(asked)), indent=2, ensure_ascii=False))  # noqa: T201

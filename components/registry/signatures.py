"""A model's rows as MLflow describes them, for whoever loads the model with `mlflow.pyfunc`.

What to know when calling it so (MLflow 3.17, pandas 3, onnxruntime 1.31; the tests hold each of these):

- Text columns go in with dtype `object`: onnxruntime refuses the `str` columns that pandas 3 makes by itself. For the
  same reason `mlflow models serve` refuses rows with text, and no input example is logged: MLflow would try it.
- A missing number is NaN. A missing text is "", as everywhere in Everfit: None and NaN pass MLflow's check, and
  onnxruntime reads them as the words "None" and "nan", which are unseen categories, not missing ones.
- Send every column: one that is not required passes MLflow's check when it is left out, and then fails in the graph.
- Class probabilities are a matrix, which MLflow's frames cannot hold: give a multiclass model a dictionary of arrays.
"""

from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType
from mlflow.types import Schema as Columns
from mlflow.types.schema import Array

from components.records.rows import Column, Schema, TargetKind

OUTPUTS: dict[TargetKind, list[ColSpec]] = {
    "binary": [ColSpec(DataType.long, "prediction"), ColSpec(DataType.float, "probability")],
    "multiclass": [ColSpec(DataType.long, "prediction"), ColSpec(Array(DataType.float), "probabilities")],
    "regression": [ColSpec(DataType.float, "prediction")],
}


def signature(schema: Schema) -> ModelSignature:
    """The raw columns that go in and the outputs that come out."""
    inputs = [ColSpec(_type(column), column.name, required=not column.nullable) for column in schema.features]
    return ModelSignature(inputs=Columns(inputs), outputs=Columns(OUTPUTS[schema.target_kind]))


def _type(column: Column) -> DataType:
    return DataType.double if column.kind == "number" else DataType.string

"""The `predict` flow: a file of rows in, a file of the champion's predictions out."""

from pathlib import Path

from prefect import flow

from components.errors import ModelNotFound
from components.serving.batch import Predicted
from components.settings.reading import load_project
from flows.tasks import predicting, releasing


@flow(name="predict")
def predict(project_file: Path, input: Path, output: Path, record: bool = True) -> Predicted:
    """Answer every row of a file with the champion, and keep the predictions as the endpoint keeps its own.

    Args:
        project_file: The project.
        input: Parquet or CSV file with raw rows.
        output: Parquet file to write; it appears when all went well.
        record: Whether the predictions are kept in the ledger, where monitoring sees them.

    Raises:
        ModelNotFound: If there is no champion yet.
    """
    project = load_project(project_file)
    champion = releasing.champion(project)
    if champion is None:
        raise ModelNotFound(f"wanted the champion of {project.name}, found none; make one with everfit train")
    return predicting.predict_file(project, champion, input, output, record)

"""The `predict` flow: rows of a file, a table or a database in, the champion's predictions out."""

from pathlib import Path

from prefect import flow

from components.errors import ModelNotFound
from components.serving.batch import Predicted
from components.settings.reading import load_project
from flows.tasks import predicting, releasing


@flow(name="predict")
def predict(project_file: Path, input: str, output: Path, record: bool = True, query: str | None = None) -> Predicted:
    """Answer every row with the champion, and keep the predictions as the endpoint keeps its own.

    A run that was stopped goes on where it was when it is started again with the same parameters.

    Args:
        project_file: The project.
        input: Raw rows: a Parquet file, a folder of them, a CSV file, a Delta table, or the address of a database. One
            with a password does not belong here, where Prefect shows it: name the variable that holds it, `env:NAME`.
        output: Parquet file, CSV file or Delta table to write; it appears when all went well.
        record: Whether the predictions are kept in the ledger, where monitoring sees them.
        query: What to ask the database: a SELECT, or the name of a table.

    Raises:
        ModelNotFound: If there is no champion yet.
    """
    project = load_project(project_file)
    champion = releasing.champion(project)
    if champion is None:
        raise ModelNotFound(f"wanted the champion of {project.name}, found none; make one with everfit train")
    return predicting.predict_file(project, champion, input, output, record, query)

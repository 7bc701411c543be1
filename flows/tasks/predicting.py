"""The task that answers a file of rows."""

from pathlib import Path

from components.records.models import ModelFiles
from components.serving import batch
from components.serving.batch import Predicted
from components.settings.environment import Environment
from components.settings.project import Project
from flows.tasks.policy import step


@step
def predict_file(project: Project, champion: ModelFiles, source: Path, output: Path, record: bool) -> Predicted:
    """The champion's predictions for every row of the file, kept in the ledger that requests are kept in."""
    ledger = Environment().ledger(project.name) if record else None
    return batch.predict_file(champion, source, output, ledger=ledger, durability=project.serving.durability)

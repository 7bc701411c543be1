"""The task that answers any number of rows."""

from pathlib import Path

from components.data.privacy import privacy_of
from components.records.models import ModelFiles
from components.serving import batch
from components.serving.batch import Predicted
from components.settings.environment import Environment
from components.settings.project import Project
from flows.tasks.policy import step


@step
def predict_file(
    project: Project, champion: ModelFiles, source: str, output: Path, record: bool, query: str | None
) -> Predicted:
    """The champion's predictions for every row of the source, kept in the ledger that requests are kept in."""
    environment = Environment()
    return batch.predict_file(
        champion,
        source,
        output,
        ledger=environment.ledger(project.name) if record else None,
        durability=project.serving.durability,
        query=query,
        privacy=privacy_of(project, environment),
    )

"""The `release` flow: the champion answers at the endpoint, and it is written down since when."""

from pathlib import Path

from prefect import flow

from components.errors import ModelNotFound
from components.records.models import ModelVersion
from components.settings.reading import load_project
from flows.tasks import releasing


@flow(name="release")
def release(project_file: Path) -> ModelVersion:
    """Wait until the endpoint answers with the champion, then record it as live.

    The endpoint follows the alias by itself: it loads, warms and checks the new version, then swaps in one step.

    Raises:
        ModelNotFound: If there is no champion yet.
    """
    project = load_project(project_file)

    champion = releasing.champion(project)
    if champion is None:
        raise ModelNotFound(f"wanted the champion of {project.name}, found none; make one with everfit train")
    since = releasing.await_live(champion.version)
    releasing.record_live(champion.version, since)
    return champion.version

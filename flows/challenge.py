"""From a table to a judged version: the stretch of road that `train` and `retrain` share."""

from pathlib import Path

from components.records.models import Lineage, ModelFiles, ModelVersion
from components.records.scores import Verdict
from components.settings.project import Project
from flows.tasks import building, releasing


def challenge(
    project: Project, lineage: Lineage, champion: ModelFiles | None, live: Path | None = None
) -> tuple[ModelVersion, Verdict]:
    """Ingest, fit, optimise, score, register, and let the better model have the alias."""
    table = building.ingest(project, lineage, live)
    schema = building.check(table, project)
    split = building.split(table, schema, project, lineage)

    fitted = building.fit(split, project, lineage)
    variant = building.export(fitted, split, project, lineage)
    scorecard = building.score(variant, split, project, lineage)
    version = building.register(project, lineage, split, fitted, variant, scorecard)

    verdict = building.judge(variant, champion, split, project)
    if verdict.promote:
        releasing.promote(version, verdict)
    else:
        releasing.reject(version, verdict)
    return version, verdict

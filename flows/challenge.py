"""From a table to a judged version: the stretch of road that `train` and `retrain` share."""

from pathlib import Path

from components.records.models import Lineage, ModelVersion
from components.records.scores import Verdict
from components.settings.project import Project
from flows import notices
from flows.tasks import advancing, approving, building, notifying, releasing


def challenge(project: Project, lineage: Lineage, live: Path | None = None) -> tuple[ModelVersion, Verdict]:
    """Ingest, fit, optimise, score, register, and let the better model have the alias, or be challenger first.

    It is judged against whatever is champion by then, and goes on only if that is still the champion.
    """
    table = building.ingest(project, lineage, live)
    schema = building.check(table, project)
    split = building.split(table, schema, project, lineage)

    beginning = building.begin_with(project, releasing.champion(project), split, lineage)
    fitted = building.fit(split, project, lineage, beginning)
    smaller = building.shrink(fitted, split, project, lineage)
    workshop = building.optimize(fitted, smaller, split, project, lineage)
    scorecard = building.score(workshop, fitted, split, project, lineage)
    version = building.register(project, lineage, split, beginning, fitted, workshop, scorecard)

    champion = releasing.champion(project)
    verdict = building.judge(workshop, scorecard, champion, split, project)
    if verdict.promote:
        verdict = building.try_out(version, verdict, split, project)
    if verdict.promote and project.evaluation.approval.required:
        verdict = approving.approved(project, version, verdict, scorecard)
    if verdict.promote:
        verdict = releasing.confirm(project, champion, verdict)
    if not verdict.promote:
        releasing.reject(version, verdict)
        notifying.tell(project, notices.of_verdict, version, verdict)
    elif champion is None or project.serving.rollout.mode == "direct":
        releasing.promote(version, verdict)
        notifying.tell(project, notices.of_verdict, version, verdict)
        advancing.begin_probation(project, version)
    else:
        advancing.begin(project, version, verdict, champion)
    return version, verdict

"""A person's word before a promotion: the flow run pauses in Prefect, with an expiry, and the scorecard beside it."""

import logging
from datetime import UTC, datetime

from prefect import runtime
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from prefect.settings import get_current_settings
from prefect.states import Running

from components.records.models import ModelVersion
from components.records.scores import Rule, Scorecard, Verdict
from components.settings.project import Project

log = logging.getLogger(__name__)

POLL_SECONDS = 2


class Approval(RunInput):
    """The answer: whether the version may take over, and who says so or why."""

    approve: bool
    reason: str = ""


def ask(project: Project, version: ModelVersion, verdict: Verdict, scorecard: Scorecard) -> Rule:
    """The rule `approval`: passed if a person approved in time.

    Called by a flow, not as a task: a pause stops the run as a whole. Answer with `everfit approve`, or with Resume in
    the Prefect UI.
    """
    expires = project.evaluation.approval.expires
    if not get_current_settings().api.url:
        return Rule("approval", False, "a person must approve, but no Prefect server is there to ask; start everfit up")
    story = _story(project, version, verdict, scorecard)
    create_markdown_artifact(story, key=f"approval-{project.name}", description=f"Approve version {version.version}?")
    log.info("approval awaited model=%s version=%d expires_in=%s", version.name, version.version, expires)
    try:
        word = pause_flow_run(
            wait_for_input=Approval.with_initial_data(description=story, approve=False),
            timeout=max(1, int(expires.total_seconds())),
            poll_interval=POLL_SECONDS,
        )
    except FlowPauseTimeout:
        _go_on()
        return Rule("approval", False, f"a person must approve within {expires}, and nobody answered")
    said = f" ({word.reason})" if word.reason else ""
    when = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    return Rule("approval", word.approve, f"a person {'approved' if word.approve else 'refused'} at {when}{said}")


def _go_on() -> None:
    """An expired pause leaves the run PAUSED, and a paused run can start no more tasks."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(runtime.flow_run.id, Running(), force=True)


def _story(project: Project, version: ModelVersion, verdict: Verdict, scorecard: Scorecard) -> str:
    rows = [f"| {name} | {value:.4f} |" for name, value in sorted(scorecard.metrics.items())]
    rules = [f"- {'held' if rule.passed else '**failed**'} {rule.name}: {rule.detail}" for rule in verdict.rules]
    lines = [
        f"**Version {version.version} of {version.name}** would be promoted: {verdict.reason}",
        "",
        f"| metric | on {scorecard.rows:,} test rows |",
        "|---|---|",
        *rows,
        "",
        *rules,
        "",
        f"Answer with `everfit approve {project.file.name}` (or `--refuse`), or with Resume above.",
    ]
    return "\n".join(lines)

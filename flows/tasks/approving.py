"""A person's word before a promotion: the flow run pauses in Prefect, with an expiry, and the scorecard beside it."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect import runtime
from prefect.artifacts import create_markdown_artifact
from prefect.exceptions import NotPausedError
from prefect.flow_runs import pause_flow_run, resume_flow_run
from prefect.input import RunInput
from prefect.settings import get_current_settings

from components.evaluation.judging import with_rule
from components.records.models import ModelVersion
from components.records.scores import Rule, Scorecard, Verdict
from components.settings.project import Project

log = logging.getLogger(__name__)

POLL_SECONDS = 2
# How much longer than we do Prefect would wait.
MARGIN = timedelta(minutes=10)
NOBODY = "nobody answered in time"


class Approval(RunInput):
    """The answer: whether the version may take over, and who says so or why."""

    approve: bool
    reason: str = ""


def approved(project: Project, version: ModelVersion, verdict: Verdict, scorecard: Scorecard) -> Verdict:
    """The verdict, after a person was asked: without a word in time the champion stays.

    Called by a flow, not as a task: a pause stops the run as a whole. Answer with `everfit approve`, or with Resume in
    the Prefect UI.
    """
    return with_rule(verdict, _ask(project, version, verdict, scorecard))


def _ask(project: Project, version: ModelVersion, verdict: Verdict, scorecard: Scorecard) -> Rule:
    expires = project.evaluation.approval.expires
    if not get_current_settings().api.url:
        return Rule("approval", False, "a person must approve, but no Prefect server is there to ask; start everfit up")
    story = _story(project, version, verdict, scorecard)
    create_markdown_artifact(story, key=f"approval-{project.name}", description=f"Approve version {version.version}?")
    log.info("approval awaited model=%s version=%d expires_in=%s", version.name, version.version, expires)
    with _answered_by_then(expires):
        word = pause_flow_run(
            wait_for_input=Approval.with_initial_data(description=story, approve=False),
            timeout=int((expires + MARGIN).total_seconds()),
            poll_interval=POLL_SECONDS,
        )
    if word.reason == NOBODY:
        return Rule("approval", False, f"a person must approve within {expires}, and nobody answered")
    said = f" ({word.reason})" if word.reason else ""
    when = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    return Rule("approval", word.approve, f"a person {'approved' if word.approve else 'refused'} at {when}{said}")


@contextmanager
def _answered_by_then(expires: timedelta) -> Iterator[None]:
    """When the time is over we answer ourselves, for nobody: a pause that expires in Prefect fails the whole run."""
    timer = threading.Timer(expires.total_seconds(), _answer_for_nobody, [runtime.flow_run.id])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _answer_for_nobody(run_id: str) -> None:
    # Somebody was just in time.
    with suppress(NotPausedError):
        resume_flow_run(UUID(run_id), run_input={"approve": False, "reason": NOBODY})


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

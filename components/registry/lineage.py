"""Where a version comes from: the project file, the commit of the code, and why it is being trained."""

import subprocess
from datetime import datetime
from pathlib import Path

from components.records.models import Lineage
from components.settings.project import Project


def lineage(
    project: Project,
    *,
    reason: str,
    decision_id: str | None = None,
    until: datetime | None = None,
    is_retraining: bool = False,
) -> Lineage:
    """The facts from which a version could be made again."""
    return Lineage(
        project_file=project.file,
        project_sha256=project.sha256,
        commit=commit(project.file.parent),
        reason=reason,
        decision_id=decision_id,
        until=until,
        is_retraining=is_retraining or decision_id is not None,
    )


def commit(folder: Path) -> str:
    """Git commit of the folder, with `-dirty` behind it if tracked files had changes; `unknown` outside of git."""
    try:
        head = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{head}-dirty" if changed else head


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - fixed arguments
        ["git", "-C", str(folder), *arguments],  # noqa: S607 - git stands on the PATH or is not used
        check=True,
        capture_output=True,
        text=True,
        timeout=20,
    )
    return done.stdout.strip()

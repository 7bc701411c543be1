"""Which rows a version learned from, how they counted, and where its training began: tags that are set at its birth.

Its age is counted from the newest of these rows; a training that begins with its weights asks which rows these know.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mlflow import MlflowClient

from components.records.models import Beginning, Lineage, ModelVersion
from components.records.rows import Split
from components.registry.tracking import reaching
from components.settings.project import Project

TRAINED_FROM = "everfit.trained_from"
TRAINED_UNTIL = "everfit.trained_until"
WINDOW = "everfit.trained_window"
HOLDOUT = "everfit.holdout_share"
STARTED = "everfit.started_from"
REASON = "everfit.start_reason"
SCRATCH = "scratch"


@dataclass(frozen=True, slots=True)
class Learned:
    """What a version knows of rows.

    Attributes:
        until: Event time of the newest row that it, or a version it began with, learned from (UTC).
        holdout_share: Share of all rows that was kept back from it, 0 to below 1.
    """

    until: datetime
    holdout_share: float


def learned_tags(project: Project, lineage: Lineage, split: Split, beginning: Beginning) -> dict[str, str]:
    """The tags of a version: times in ISO format and UTC, the window in words, the version it began with."""
    # What it began with has learned, too; usually from older rows.
    until = max([split.train.last, *([beginning.trained_until] if beginning.trained_until else [])])
    tags = {
        TRAINED_FROM: split.train.first.astimezone(UTC).isoformat(),
        TRAINED_UNTIL: until.astimezone(UTC).isoformat(),
        WINDOW: _window(project, lineage),
        HOLDOUT: f"{project.data.split.holdout_share:g}",
        STARTED: f"version {beginning.version}" if beginning.model else SCRATCH,
        REASON: beginning.reason,
    }
    return {name: value for name, value in tags.items() if value}


def learned_sentence(tags: Mapping[str, str]) -> str:
    """The same for people, in Markdown."""
    began = tags.get(STARTED, SCRATCH)
    start = "with fresh weights" if began == SCRATCH else f"with the weights of {began}"
    why = f" ({tags[REASON]})" if REASON in tags else ""
    return f"**Learned** from {tags[WINDOW]}, beginning {start}{why}."


def read_learned(version: ModelVersion) -> Learned | None:
    """What the version knows of rows; None of one that was registered before there were these tags.

    Raises:
        PassingFault: If the registry cannot be reached.
    """
    with reaching(f"the rows of version {version.version} of {version.name}"):
        tags = MlflowClient().get_model_version(version.name, str(version.version)).tags
    if TRAINED_UNTIL not in tags:
        return None
    return Learned(datetime.fromisoformat(tags[TRAINED_UNTIL]), float(tags.get(HOLDOUT, 0)))


def trained_until(version: ModelVersion) -> datetime | None:
    """Event time of the newest row that the version learned from (UTC); None of a version older than this tag.

    Raises:
        PassingFault: If the registry cannot be reached.
    """
    found = read_learned(version)
    return found.until if found else None


def _window(project: Project, lineage: Lineage) -> str:
    retrain = project.monitoring.retrain
    if not lineage.is_retraining or retrain.window == "all":
        return "all rows"
    if retrain.window == "sliding":
        return f"the newest {_days(retrain.length)} days"
    return f"all rows, each counting half after {_days(retrain.half_life)} days"


def _days(length: timedelta) -> str:
    return f"{length / timedelta(days=1):g}"

"""Which rows a version learned from, as tags on it: what its age is counted from, and what a person asks first."""

from datetime import UTC, datetime

from mlflow import MlflowClient

from components.records.models import ModelVersion
from components.records.rows import Split
from components.registry.tracking import reaching

TRAINED_FROM = "everfit.trained_from"
TRAINED_UNTIL = "everfit.trained_until"


def learned_tags(split: Split) -> dict[str, str]:
    """The event times of the oldest and the newest training row, as tags in ISO format and UTC."""
    return {name: at.astimezone(UTC).isoformat() for name, at in _ends(split).items()}


def trained_until(version: ModelVersion) -> datetime | None:
    """Event time of the newest row that the version learned from (UTC); None of a version older than this tag.

    Raises:
        PassingFault: If the registry cannot be reached.
    """
    with reaching(f"the rows of version {version.version} of {version.name}"):
        tags = MlflowClient().get_model_version(version.name, str(version.version)).tags
    return datetime.fromisoformat(tags[TRAINED_UNTIL]) if TRAINED_UNTIL in tags else None


def _ends(split: Split) -> dict[str, datetime]:
    return {TRAINED_FROM: split.train.first, TRAINED_UNTIL: split.train.last}

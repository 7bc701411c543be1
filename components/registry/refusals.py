"""Why an endpoint did not take a version, on that version, for whoever looks at it in MLflow."""

import logging
from datetime import UTC, datetime

from mlflow import MlflowClient

from components.records.models import ModelVersion
from components.registry.stories import TAG_CHARACTERS
from components.registry.tracking import reaching

log = logging.getLogger(__name__)

REFUSED = "everfit.refused"


def note_refused(version: ModelVersion, reason: str, at: datetime) -> None:
    """The version has the tag `everfit.refused` with the time and the reason; a later refusal replaces an earlier one.

    Args:
        version: The version that was not taken.
        reason: Why, as one sentence.
        at: When (aware).

    Raises:
        PassingFault: If the registry cannot be reached.
    """
    sentence = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC: {reason}"[:TAG_CHARACTERS]
    with reaching(f"a place for the refusal of version {version.version} of {version.name}"):
        MlflowClient().set_model_version_tag(version.name, str(version.version), REFUSED, sentence)
    log.info("refusal noted model=%s version=%d", version.name, version.version)


def refused_since(version: ModelVersion, since: datetime) -> str:
    """Why an endpoint did not take the version since that moment, with the time; empty if none refused it.

    Raises:
        PassingFault: If the registry cannot be reached.
    """
    with reaching(f"the refusals of version {version.version} of {version.name}"):
        sentence: str = MlflowClient().get_model_version(version.name, str(version.version)).tags.get(REFUSED, "")
    return sentence if sentence >= f"{since.astimezone(UTC):%Y-%m-%d %H:%M:%S}" else ""

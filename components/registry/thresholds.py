"""The thresholds of monitoring that belong to a version, so that they come back with it.

A person edits thresholds in the project file, and they hold at once. So the file is the truth for as long as the alias
only goes forward, and each version keeps a note of the last that held while it was champion. A rollback makes the
version's own hold again, in place of those of the file as it stands then, until a person edits them in the file: the
note on the version says which content of the file it overrules. It is written before the alias moves and means nothing
on a version that is not champion, so alias and thresholds go back in one step.
"""

import hashlib
import json
import logging
from typing import Any

from mlflow import MlflowClient

from components.records.models import ModelVersion
from components.registry.tracking import reaching
from components.settings.monitoring import MonitoringSettings

log = logging.getLogger(__name__)

THRESHOLDS = "everfit.thresholds"
KEPT = ("drift_threshold", "column_thresholds", "trigger")
# What came after the first notes were written stands in a note only where it is no default: so a note from before still
# knows the file that it overrules.
LATER_TRIGGERS = (
    "weighted_drift",
    "max_expected_quality_loss",
    "min_label_coverage",
    "max_unseen_share",
    "max_outside_share",
    "max_conflict_share",
    "max_age",
    "every",
)
LATER = ("false_discoveries",)


def in_force(champion: ModelVersion, settings: MonitoringSettings) -> MonitoringSettings:
    """The monitoring settings with the thresholds that hold for this champion.

    Args:
        champion: The version that has the alias.
        settings: What the project file says now.

    Raises:
        PassingFault: If the registry cannot be reached.
    """
    noted = _noted(champion)
    if noted is None or noted["over"] != digest(settings):
        return settings
    usual = {name: getattr(MonitoringSettings(), name) for name in LATER}
    return MonitoringSettings.model_validate(settings.model_dump() | usual | noted["thresholds"])


def keep(version: ModelVersion, settings: MonitoringSettings) -> None:
    """Note the file's thresholds as the last that held for this champion, unless a rollback's still hold.

    Raises:
        PassingFault: If the registry cannot be reached.
    """
    noted = _noted(version)
    if noted is None or noted["over"] != digest(settings):
        _note(version, noted, {"thresholds": _thresholds(settings), "over": ""})


def birth_tag(settings: MonitoringSettings) -> dict[str, str]:
    """The tag with which a version is registered: the thresholds of the project file that it was made with."""
    return {THRESHOLDS: json.dumps({"thresholds": _thresholds(settings), "over": ""}, sort_keys=True)}


def overrule(version: ModelVersion, settings: MonitoringSettings) -> bool:
    """The version's own thresholds hold once it is champion, until the file's change; whether they differ from these.

    Raises:
        PassingFault: If the registry cannot be reached.
    """
    noted = _noted(version)
    if noted is None:
        return False
    _note(version, noted, noted | {"over": digest(settings)})
    return bool(noted["thresholds"] != _thresholds(settings))


def digest(settings: MonitoringSettings) -> str:
    """What stands for the thresholds' content in the file: equal ones have equal digests."""
    return hashlib.sha256(json.dumps(_thresholds(settings), sort_keys=True).encode()).hexdigest()


def _thresholds(settings: MonitoringSettings) -> dict[str, Any]:
    kept = settings.model_dump(mode="json", include={*KEPT, *LATER})
    usual = MonitoringSettings().model_dump(mode="json")
    trigger = {
        name: value
        for name, value in kept["trigger"].items()
        if name not in LATER_TRIGGERS or value != usual["trigger"][name]
    }
    later = {name for name in LATER if kept[name] == usual[name]}
    return {name: value for name, value in (kept | {"trigger": trigger}).items() if name not in later}


def _noted(version: ModelVersion) -> dict[str, Any] | None:
    with reaching(f"the thresholds of version {version.version} of {version.name}"):
        tags = MlflowClient().get_model_version(version.name, str(version.version)).tags
    return json.loads(tags[THRESHOLDS]) if THRESHOLDS in tags else None


def _note(version: ModelVersion, noted: dict[str, Any] | None, wanted: dict[str, Any]) -> None:
    if noted == wanted:
        return
    with reaching(f"a place for the thresholds of version {version.version} of {version.name}"):
        value = json.dumps(wanted, sort_keys=True)
        MlflowClient().set_model_version_tag(version.name, str(version.version), THRESHOLDS, value)
    log.info("thresholds noted model=%s version=%d over=%s", version.name, version.version, wanted["over"][:12])

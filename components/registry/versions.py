"""Versions of a registered model: which there are, which is the champion, and how one becomes it."""

import logging
import math
from datetime import datetime
from pathlib import Path
from typing import Any

import mlflow
import msgspec
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from components.errors import ModelNotFound, ModelRefused
from components.records.jsonable import to_jsonable
from components.records.models import ModelVersion
from components.records.scores import Verdict
from components.registry.moves import Move, true_moves
from components.registry.stories import TAG_CHARACTERS, verdict_tags, with_verdict
from components.registry.tracking import address, is_absent, reachable, reaching

log = logging.getLogger(__name__)

CHAMPION = "champion"
VERDICT = "verdict.json"


def champion(name: str) -> ModelVersion | None:
    """The version that has the alias `champion`; None if there is no such model, or none has it.

    One request of some 5 ms, so that the service can ask each second.

    Raises:
        PassingFault: If the registry cannot be reached.
        ModelRefused: If the alias points to a version that Everfit did not register.
    """
    with reaching(f"the champion of {name}"):
        try:
            found = MlflowClient().get_model_version_by_alias(name, CHAMPION)
        except MlflowException as err:
            # A missing model and a missing alias differ in their code; the second says it is an invalid parameter.
            if is_absent(err) or "alias champion not found" in str(err):
                return None
            raise
    return record(found)


def version(name: str, number: int) -> ModelVersion:
    """One version by its number.

    Raises:
        ModelNotFound: If there is none; the message names what there is.
    """
    with reaching(f"version {number} of {name}"):
        try:
            return record(MlflowClient().get_model_version(name, str(number)))
        except MlflowException as err:
            if not is_absent(err):
                raise
            raise ModelNotFound(
                f"wanted version {number} of {name} from MLflow at {address()}, found {_what_exists(name)}; "
                "train one with everfit train, or name one of these"
            ) from err


def named(text: str) -> ModelVersion:
    """The version that a person means by `NAME/3`, `NAME@champion` or `NAME`, which is its champion.

    Raises:
        ModelNotFound: If there is none, or the text names none.
    """
    name, slash, number = text.removeprefix("models:/").partition("/")
    if slash and number.isdecimal():
        return version(name, int(number))
    bare = name.removesuffix(f"@{CHAMPION}")
    if slash or not bare or "@" in bare:
        raise ModelNotFound(f"wanted a version such as NAME/3, NAME@{CHAMPION} or NAME, found {text!r}; name one so")
    if (found := champion(bare)) is None:
        raise ModelNotFound(
            f"wanted the champion of {bare} from MLflow at {address()}, found {_what_exists(bare)} and none of them is "
            "champion; name a version as NAME/3, or make one with everfit train"
        )
    return found


def versions(name: str) -> list[ModelVersion]:
    """All versions that Everfit registered under this name, oldest first; empty if there is no such model."""
    with reaching(f"the versions of {name}"):
        return [record(item) for item in registered(name)]


def moves(name: str) -> list[Move]:
    """How the alias came to where it stands, oldest first; empty if there is no champion."""
    found = champion(name)  # before the notes, which are written before the alias moves
    with reaching(f"the moves of the alias {CHAMPION} of {name}"):
        return true_moves(registered(name), found.version) if found else []


def promote(version: ModelVersion, verdict: Verdict, *, at: datetime) -> None:
    """Give the version the alias `champion`, and store the verdict with it.

    The alias is moved last, in one request: whoever sees it move finds verdict and tags in place, and a promotion that
    was cut off on the way has promoted nothing. Doing it twice changes nothing.

    Args:
        version: Which version.
        verdict: Why it may.
        at: When (aware).

    Raises:
        ModelRefused: If a person rolled back from this version: a repeated task must not undo that.
    """
    before = champion(version.name)
    is_again = before is not None and before.version == version.version
    if not is_again:
        _refuse_rolled_back(version)
    extra = {
        "promoted_at": at.isoformat(),
        "promoted_because": verdict.reason[:TAG_CHARACTERS],
        "took_over_from": str(before.version if before else ""),
    }
    log_verdict(version, verdict, at=None if is_again else at, extra={} if is_again else extra)
    with reaching(f"the alias {CHAMPION} for version {version.version} of {version.name}"):
        MlflowClient().set_registered_model_alias(version.name, CHAMPION, str(version.version))
    log.info("version promoted model=%s version=%d reason=%r", version.name, version.version, verdict.reason)


def reject(version: ModelVersion, verdict: Verdict) -> None:
    """Store the verdict with a version that does not get the alias."""
    log_verdict(version, verdict)
    log.info("version rejected model=%s version=%d reason=%r", version.name, version.version, verdict.reason)


def log_verdict(
    version: ModelVersion, verdict: Verdict, *, at: datetime | None = None, extra: dict[str, str] | None = None
) -> None:
    """Store a verdict with a version: whole as `verdict.json` on its run, its numbers as tags, told in the description.

    Args:
        version: The version that was judged.
        verdict: What was found.
        at: When it took effect (aware); None leaves the time out.
        extra: Further tags.
    """
    client = MlflowClient()
    with reaching(f"a place for the verdict on version {version.version} of {version.name}"):
        client.log_dict(version.run_id, to_jsonable(verdict), VERDICT)
        found = client.get_model_version(version.name, str(version.version))
        when = at or _moment(found.tags.get("promoted_at"))
        story = with_verdict(found.description or "", verdict, when)
        client.update_model_version(version.name, str(version.version), story)
        for name, value in (verdict_tags(verdict) | (extra or {})).items():
            if found.tags.get(name) != value:
                client.set_model_version_tag(version.name, str(version.version), name, value)


def read_verdict(version: ModelVersion) -> Verdict | None:
    """The verdict that is stored with the version; None if it was not judged yet."""
    with reaching(f"the verdict on version {version.version} of {version.name}"):
        folder = reachable(MlflowClient().get_run(version.run_id).info.artifact_uri)
        if VERDICT not in {Path(file.path).name for file in mlflow.artifacts.list_artifacts(artifact_uri=folder)}:
            return None
        facts = mlflow.artifacts.load_dict(f"{folder}/{VERDICT}")
    unmeasured = {"candidate": math.nan} if facts["candidate"] is None else {}
    return msgspec.convert(facts | unmeasured, Verdict)


def registered(name: str) -> list[Any]:
    """MLflow's own records of the versions that Everfit registered under this name, oldest first."""
    found = MlflowClient().search_model_versions(f"name = '{name}'")
    return sorted((item for item in found if "sha256" in item.tags), key=lambda item: int(item.version))


def record(found: Any) -> ModelVersion:
    """MLflow's record of a version as ours."""
    if "sha256" not in found.tags:
        raise ModelRefused(
            f"wanted a version of {found.name} that Everfit registered, found version {found.version} without the tag "
            "sha256; give the alias to one that everfit train made"
        )
    return ModelVersion(found.name, int(found.version), found.run_id, found.tags["sha256"])


def _refuse_rolled_back(version: ModelVersion) -> None:
    for move in reversed(moves(version.name)):
        if move.is_rollback and move.before == version.version:
            raise ModelRefused(
                f"wanted to promote version {version.version} of {version.name}, found that {move.who} rolled back "
                f"from it to version {move.version} at {move.at:%Y-%m-%d %H:%M:%S} UTC ({move.reason}); to have it "
                f"back use everfit rollback --to {version.version}"
            )


def _what_exists(name: str) -> str:
    numbers = [int(item.version) for item in registered(name)]
    if numbers:
        return f"versions {', '.join(map(str, numbers))}"
    models = sorted(model.name for model in MlflowClient().search_registered_models())
    return f"no model {name}, but {', '.join(models)}" if models else "no models at all"


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None

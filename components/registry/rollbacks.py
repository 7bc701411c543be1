"""Back to an earlier version: one move of the alias, from which all else follows or is told again.

Endpoint, drift reference, thresholds and the yardstick of quality belong to the version and go where the alias goes; a
challenger counts only against the champion that it was judged against, so it ends there and then. A rollback that is
cut off has moved nothing, or has moved everything and lacks only some words, which the next one adds.
"""

import logging
from datetime import UTC, datetime
from typing import Any

from mlflow import MlflowClient

from components.errors import ModelNotFound, ModelRefused
from components.records.models import ModelVersion
from components.registry import challengers, thresholds
from components.registry.moves import Move, note_of
from components.registry.stories import TAG_CHARACTERS, rollback_tags, with_rollbacks
from components.registry.tracking import address, reaching
from components.registry.versions import CHAMPION, champion, moves, registered, version
from components.settings.monitoring import MonitoringSettings

log = logging.getLogger(__name__)


def target(name: str, number: int | None = None) -> ModelVersion:
    """The version to go back to: the one with that number, or the champion before this one.

    A champion that is there by a rollback is its own answer: a rollback that is repeated without a number goes no
    further back.

    Raises:
        ModelNotFound: If there is no champion, no such version, or none was champion before.
    """
    current = champion(name)
    if current is None:
        raise ModelNotFound(
            f"wanted to roll back the champion of {name} from MLflow at {address()}, found that it has none; make one "
            "with everfit train"
        )
    if number is not None:
        return version(name, number)
    past = moves(name)
    if past and past[-1].is_rollback and past[-1].version == current.version:
        return current
    if (before := _before(past, current)) is None:
        raise ModelNotFound(
            f"wanted the champion of {name} before version {current.version}, found that there was none; "
            f"{_name_another(name, current.version)}"
        )
    return version(name, before)


def roll_back(
    to: ModelVersion, *, who: str, reason: str, at: datetime, settings: MonitoringSettings | None = None
) -> Move | None:
    """The alias stands on this version, and it is written down who moved it, when, why and from where.

    The steps, of which the third is the rollback: the version's thresholds, a note on this version, the alias, the
    challenger's end, tags and descriptions of both versions. Doing it twice changes nothing, and tells what an earlier
    one had no time to tell.

    Args:
        to: Where to.
        who: Who wants it.
        reason: Why.
        at: When (aware).
        settings: What the project file says of monitoring now, over which the version's own thresholds hold again.

    Returns:
        The move; None if the version was champion already.

    Raises:
        ModelRefused: If no verdict ever let the version go live.
        ModelNotFound: If there is no champion to roll back.
        PassingFault: If MLflow cannot be reached.
    """
    current = champion(to.name)
    if current is None:
        raise ModelNotFound(f"wanted to roll back the champion of {to.name}, found none; make one with everfit train")
    if current.version == to.version:
        _end_challenger(to, who=who, reason=reason, at=at)
        tell(to.name)
        return None
    _refuse_unjudged(to)
    if settings is not None:
        thresholds.overrule(to, settings)
    move = Move(to.version, current.version, at.astimezone(UTC), reason[:TAG_CHARACTERS], who, is_rollback=True)
    with reaching(f"the alias {CHAMPION} for version {to.version} of {to.name}"):
        client = MlflowClient()
        client.set_model_version_tag(to.name, str(to.version), *note_of(move))
        client.set_registered_model_alias(to.name, CHAMPION, str(to.version))
    log.info("rolled back model=%s to=%d from=%d who=%s reason=%r", to.name, to.version, current.version, who, reason)
    _end_challenger(to, who=who, reason=reason, at=at)
    tell(to.name)
    return move


def tell(name: str) -> None:
    """Every version says in its tags and on top of its description which rollbacks led to it or away from it."""
    rollbacks = [move for move in moves(name) if move.is_rollback]
    with reaching(f"a place for the rollbacks of {name}"):
        for item in registered(name) if rollbacks else []:
            concerned = [move for move in rollbacks if int(item.version) in {move.version, move.before}]
            _tell(item, concerned)


def _end_challenger(to: ModelVersion, *, who: str, reason: str, at: datetime) -> None:
    running = challengers.holder(to.name)
    if running is not None:
        told = f"rolled back to version {to.version}: {reason}"
        challengers.clear(running, told, at, ending="rolled back", who=who)


def _tell(item: Any, concerned: list[Move]) -> None:
    client = MlflowClient()
    for tag, value in rollback_tags(int(item.version), concerned).items():
        if item.tags.get(tag) != value:
            client.set_model_version_tag(item.name, item.version, tag, value)
    story = with_rollbacks(item.description or "", int(item.version), concerned)
    if story != (item.description or ""):
        client.update_model_version(item.name, item.version, story)


def _before(past: list[Move], current: ModelVersion) -> int | None:
    if not past:
        return None
    newest = past[-1]
    # Where the alias was set by hand, the newest move leads to the champion before.
    return newest.before if newest.version == current.version else newest.version


def _refuse_unjudged(to: ModelVersion) -> None:
    with reaching(f"the verdict on version {to.version} of {to.name}"):
        tags = MlflowClient().get_model_version(to.name, str(to.version)).tags
    if tags.get("outcome") == "promote":
        return
    found = f"{tags['outcome']} ({tags.get('verdict', '')})" if "outcome" in tags else "that it was never judged"
    raise ModelRefused(
        f"wanted version {to.version} of {to.name} with the verdict promote, found {found}; "
        f"{_name_another(to.name, to.version)}"
    )


def _name_another(name: str, but: int) -> str:
    """What to do next: which versions a rollback may go to."""
    fit = [number for number in _promotable(name) if number != but]
    if not fit:
        return "no other version has that verdict yet: train one with everfit train"
    return f"name one that has it with --to: {', '.join(map(str, fit))}"


def _promotable(name: str) -> list[int]:
    with reaching(f"the versions of {name}"):
        return [int(item.version) for item in registered(name) if item.tags.get("outcome") == "promote"]

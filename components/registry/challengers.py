"""The alias `challenger`: which version is asked beside the champion, how far it is, and how it came and went.

It is on its way to be champion (`rollout`), or was the champion before and shows what it would have answered while the
new one is on `probation`.

The alias is the one fact: a version is challenger while it has it. How far it is stands in one tag on that version, so
that both are read in one request and a step is one write. What is noted besides is for people (`episodes`): each step
and each end is a tag of its own, written before what it tells, so a crash at any point leaves either the old or the new
state, and notes of what did not happen are told apart (a step later than the state, an end of a version that still has
the alias).
"""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from components.errors import ModelRefused
from components.records.models import Challenger, ModelVersion
from components.registry.stories import TAG_CHARACTERS, with_challenge_end
from components.registry.tracking import is_absent, reaching
from components.registry.versions import record, registered

log = logging.getLogger(__name__)

CHALLENGER = "challenger"
STATE = "everfit.challenger"
NOTE = "everfit.rollout."
MOMENT = "%Y%m%dT%H%M%S.%fZ"

Ending = Literal["promoted", "aborted", "replaced", "rolled back", "kept"]


@dataclass(frozen=True, slots=True)
class Episode:
    """A version's time as challenger.

    Attributes:
        version: Number of the version.
        steps: The challenger at each step it reached, oldest first; at least one.
        until: When it ended (UTC); None if it still runs.
        ending: How it ended; empty while it runs.
        reason: Why it ended, as one sentence; empty while it runs.
        who: Who ended it; empty if it was Everfit itself.
    """

    version: int
    steps: tuple[Challenger, ...]
    until: datetime | None = None
    ending: str = ""
    reason: str = ""
    who: str = ""

    @property
    def since(self) -> datetime:
        """When it began (UTC)."""
        return self.steps[0].since

    @property
    def probation_of(self) -> int | None:
        """The champion beside which it was asked as the version before; None if it was on its own way up."""
        return self.steps[0].champion if self.steps[0].purpose == "probation" else None


def challenger(name: str) -> Challenger | None:
    """The version that has the alias `challenger`, with its step; None if there is no such model, or none has it.

    One request, so that the service can ask each second. Whether it still counts is for `Challenger.challenges` to say.

    Raises:
        PassingFault: If the registry cannot be reached.
        ModelRefused: If the alias points to a version that Everfit did not put there.
    """
    found = _holder(name)
    if found is None:
        return None
    if STATE not in found.tags:
        raise ModelRefused(
            f"wanted a challenger of {name} with its step in the tag {STATE}, found version {found.version} without "
            "it, so someone set the alias by hand; remove the alias challenger in MLflow, and let a rollout set it"
        )
    return _from_json(record(found), found.tags[STATE])


def holder(name: str) -> ModelVersion | None:
    """The version that has the alias `challenger`, whoever set it; None if none has it."""
    found = _holder(name)
    return record(found) if found is not None else None


def put(wanted: Challenger) -> None:
    """This version is the challenger, at this step; doing it twice changes nothing.

    Notes first. Step 0 gives the alias to the version, which ends the challenger before it. A later step only writes
    the state, so a version that a person took the alias from does not get it back by a step that was under way.

    Raises:
        ModelRefused: If a later step is wanted of a version that is not the challenger.
        PassingFault: If the registry cannot be reached.
    """
    version, before = wanted.version, _holder(wanted.version.name)
    name, number = version.name, str(version.version)
    is_other = before is None or before.version != number
    if is_other and wanted.step > 0:
        found = f"version {before.version}" if before is not None else "none"
        raise ModelRefused(
            f"wanted step {wanted.step} of version {number} of {name} as challenger, found {found} in its place, so "
            "the rollout ended meanwhile; look at everfit history, and begin a new one at step 0"
        )
    with reaching(f"the alias {CHALLENGER} for version {number} of {name}"):
        client = MlflowClient()
        if before is not None and is_other:
            reason = _taking_over(wanted)
            _note(client, name, before.version, wanted.since, {"ending": "replaced", "reason": reason, "who": ""})
        _note(client, name, number, wanted.since, {"state": _facts(wanted)})
        client.set_model_version_tag(name, number, STATE, json.dumps(_facts(wanted)))
        if is_other:
            client.set_registered_model_alias(name, CHALLENGER, number)
    log.info("challenger put model=%s version=%s step=%d share=%g", name, number, wanted.step, wanted.share)
    if wanted.step == 0:
        _tell_ends(name, but=number)


def clear(
    version: ModelVersion, reason: str, at: datetime, *, ending: Ending = "aborted", who: str = ""
) -> Episode | None:
    """The version is challenger no more, and why stands on it; one that is not challenger is left as it is.

    Args:
        version: Which version.
        reason: Why, as one sentence.
        at: When (aware).
        ending: How it ended.
        who: Who ended it; empty if it was Everfit itself.

    Returns:
        What it was as challenger; None if it was not.

    Raises:
        PassingFault: If the registry cannot be reached.
    """
    before = _holder(version.name)
    if before is None or int(before.version) != version.version:
        _tell_ends(
            version.name, but=before.version if before is not None else None
        )  # who cleared it may have been killed
        return None
    note = {"ending": ending, "reason": reason[:TAG_CHARACTERS], "who": who}
    with reaching(f"the alias {CHALLENGER} of {version.name}"):
        client = MlflowClient()
        _note(client, version.name, before.version, at, note)
        client.delete_registered_model_alias(version.name, CHALLENGER)
    log.info("challenger cleared model=%s version=%d %s: %s", version.name, version.version, ending, reason)
    _tell_ends(version.name)
    return next((one for one in reversed(episodes(version.name)) if one.version == version.version), None)


def episodes(name: str) -> list[Episode]:
    """Every time that a version was challenger, in the order in which they began; empty if none ever was."""
    holder = _holder(name)  # before the notes, which are written before the alias moves
    with reaching(f"the challengers of {name}"):
        found = registered(name)
    told = [episode for item in found for episode in _of_version(item, holder)]
    return sorted(told, key=lambda episode: episode.since)


def _holder(name: str) -> Any:
    """MLflow's record of the version that has the alias, as far as it can be asked for; None if none has it."""
    with reaching(f"the challenger of {name}"):
        try:
            return MlflowClient().get_model_version_by_alias(name, CHALLENGER)
        except MlflowException as err:
            if is_absent(err) or f"alias {CHALLENGER} not found" in str(err):
                return None
            raise


def _taking_over(wanted: Challenger) -> str:
    """Why whoever was challenger is none any more."""
    if wanted.purpose == "probation":
        return f"version {wanted.champion} is champion now, and its probation began"
    return f"version {wanted.version.version} is the challenger now"


def _note(client: MlflowClient, name: str, number: str, at: datetime, facts: dict[str, Any]) -> None:
    moment = at.astimezone(UTC)
    kind = "step" if "state" in facts else "end"
    value = json.dumps({"at": moment.isoformat()} | facts)
    client.set_model_version_tag(name, number, f"{NOTE}{moment:{MOMENT}}.{kind}", value)


def _tell_ends(name: str, *, but: str | None = None) -> None:
    """Each version that is challenger no more says on top of its description how that ended."""
    with reaching(f"a place for the rollouts of {name}"):
        for item in registered(name):
            ended = _of_version(item, None) if item.version != but else []
            if ended:
                _tell(item, ended[-1])


def _tell(item: Any, last: Episode) -> None:
    step = last.steps[-1]
    story = with_challenge_end(item.description or "", step, last.ending, last.until or step.since, last.reason)
    if story != (item.description or ""):
        MlflowClient().update_model_version(item.name, item.version, story)


def _of_version(item: Any, holder: Any) -> list[Episode]:
    """What stands on one version, as far as it is true."""
    version = record(item)
    is_holder = holder is not None and holder.version == item.version
    found: list[Episode] = []
    for note in _notes(item.tags):
        at = datetime.fromisoformat(note["at"])
        if "state" not in note:
            if found:
                ended = {"until": at, "ending": note["ending"], "reason": note["reason"], "who": note["who"]}
                found[-1] = replace(found[-1], **ended)
            continue
        step = _from_facts(version, note["state"])
        if step.step > 0 and found:  # whatever was noted as its end did not happen
            found[-1] = Episode(version.version, (*_earlier(found[-1], step), step))
        elif found and not found[-1].ending:  # its first begin did not happen
            found[-1] = Episode(version.version, (step,))
        else:
            found.append(Episode(version.version, (step,)))
    if is_holder and found and STATE in item.tags:
        found[-1] = _running(found[-1], _from_json(version, item.tags[STATE]))
    return [episode for episode in found if episode.ending or (is_holder and episode is found[-1])]


def _running(episode: Episode, state: Challenger) -> Episode:
    """The episode of a version that has the alias: as far as its state, and without an end that was only noted."""
    steps = tuple(step for step in episode.steps if step.since <= state.since)
    return Episode(episode.version, steps or (state,))


def _earlier(episode: Episode, step: Challenger) -> Iterator[Challenger]:
    return (earlier for earlier in episode.steps if earlier.step < step.step)


def _notes(tags: dict[str, str]) -> Sequence[dict[str, Any]]:
    names: Iterable[str] = sorted(name for name in tags if name.startswith(NOTE))
    return [json.loads(tags[name]) for name in names]


def _facts(state: Challenger) -> dict[str, Any]:
    return {
        "variant": state.variant,
        "share": state.share,
        "step": state.step,
        "since": state.since.astimezone(UTC).isoformat(),
        "champion": state.champion,
        "purpose": state.purpose,
    }


def _from_json(version: ModelVersion, text: str) -> Challenger:
    return _from_facts(version, json.loads(text))


def _from_facts(version: ModelVersion, facts: dict[str, Any]) -> Challenger:
    since = datetime.fromisoformat(facts["since"])
    # A state from before there was a probation does not say what it is for.
    rest = facts["share"], facts["step"], since, facts.get("champion"), facts.get("purpose", "rollout")
    return Challenger(version, facts["variant"], *rest)

"""Back to an earlier version: the brake of the loop.

No Prefect flow, unlike the rest of this room: a brake must work while Prefect is down. It also starts sooner: importing
this file took 2.2 s, importing `flows.release` 3.1 to 3.9 s (two tries each, 2 busy cores).
"""

import getpass
import socket
from dataclasses import dataclass
from datetime import UTC, datetime

from components.errors import PassingFault
from components.records.models import ModelVersion
from components.registry import challengers, fetching, history, rollbacks, thresholds, tracking
from components.registry.moves import Move
from components.serving import rollout
from components.serving.predictor import Predictor
from components.settings.environment import Environment
from components.settings.project import Project


@dataclass(frozen=True, slots=True)
class Rollback:
    """What a rollback did.

    Attributes:
        version: The version that is champion now.
        move: The move of the alias; None if that version was champion already.
        live_since: From when the endpoint was seen to answer with it (UTC); None if the project's endpoint is not up.
        service: Address of the endpoint.
        has_other_thresholds: Whether thresholds of its own hold again, in place of those of the project file.
        ended_challenger: The version whose rollout ended with this; None if there was none.
    """

    version: ModelVersion
    move: Move | None
    live_since: datetime | None
    service: str
    has_other_thresholds: bool
    ended_challenger: ModelVersion | None


def roll_back(project: Project, *, to: int | None = None, reason: str = "", who: str = "") -> Rollback:
    """Make an earlier version the champion, wait until the endpoint answers with it, and record since when.

    Everything that can be refused is refused before the alias moves. From then on the endpoint follows by itself, and
    monitoring measures what it answers against the reference and the scores of the version that answered.

    Args:
        project: The project.
        to: Number of the version; None for the champion before the present one.
        reason: Why, for the record.
        who: Who wants it; empty: whoever types this.

    Raises:
        ModelNotFound: If there is no such version, or none before.
        ModelRefused: If no verdict let the version live, or its files are not what was registered.
        PassingFault: If the registry cannot be reached.
        ServerNotHealthy: If the endpoint goes on answering with another version, with the reason it gives.
    """
    environment = Environment()
    tracking.connect(environment)

    version = rollbacks.target(project.name, to)
    _prove(version, project, environment)
    running = challengers.holder(project.name)
    move = rollbacks.roll_back(
        version,
        who=who or whoever(),
        reason=reason or "no reason given",
        at=datetime.now(UTC),
        settings=project.monitoring,
    )
    since = _followed(version, environment)
    has_other = thresholds.in_force(version, project.monitoring) != project.monitoring
    return Rollback(version, move, since, environment.service, has_other, running)


def sentences(done: Rollback) -> list[str]:
    """What a person is told of it."""
    name, number, move, service = done.version.name, done.version.version, done.move, done.service
    told = [f"version {number} of {name} is champion already; name another with --to"]
    if move is not None:
        told = [f"version {number} of {name} is champion in place of version {move.before} ({move.who}: {move.reason})"]
    if done.live_since is None:
        told.append(f"the endpoint at {service} does not answer for {name}; it follows when it is up")
    elif move is not None:
        seconds = (done.live_since - move.at).total_seconds()
        told.append(f"it answers at {service} since {done.live_since:%H:%M:%S} UTC, {seconds:.1f} s after the move")
    if done.has_other_thresholds:
        told.append("its own thresholds of monitoring hold again, until those of the project file are changed")
    if done.ended_challenger is not None:
        told.append(f"version {done.ended_challenger.version}, which was challenger, is none any more")
    return told


def _prove(version: ModelVersion, project: Project, environment: Environment) -> None:
    """The version's files are whole and able to answer: the endpoint refuses any other and would stay where it is."""
    files = fetching.fetch(version, environment.cache())
    Predictor(files, max_rows=project.serving.max_rows).check()


def _followed(version: ModelVersion, environment: Environment) -> datetime | None:
    try:
        if rollout.live_model(environment.service).get("name", version.name) != version.name:
            return None  # a stack serves one project, and this is another
        since = rollout.await_live(environment.service, version)
    except PassingFault:
        return None
    history.record_live(version, since, environment.service)
    return since


def whoever() -> str:
    """Who types this: user and machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"

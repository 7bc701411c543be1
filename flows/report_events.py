"""What the registry and the outbox tell of versions: which there are, which answered when, and what happened to them.

No Prefect here: `everfit report` needs no server.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from components.data.decisions import DecisionEntry
from components.monitoring.loop_story import EventKind, LoopEvent, LoopVersion, VersionState
from components.registry import challengers, history, made, versions
from components.registry.challengers import Episode
from components.registry.history import LiveEntry
from components.registry.made import Made
from components.registry.moves import Move

OUTCOMES: dict[str, EventKind] = {"promote": "promotion", "reject": "rejection", "inconclusive": "rejection"}


@dataclass(frozen=True, slots=True)
class Registry:
    """All that the registry knows of a model's life, read once."""

    made: Sequence[Made] = ()
    lives: Sequence[LiveEntry] = ()
    moves: Sequence[Move] = ()
    episodes: Sequence[Episode] = ()


def read_registry(name: str, metric: str) -> Registry:
    """What is known of the model of that name; empty if there is none.

    Raises:
        PassingFault: If the registry cannot be reached.
    """
    return Registry(
        made.made_versions(name, metric),
        history.live_history(name),
        versions.moves(name),
        challengers.episodes(name),
    )


def told_versions(known: Registry, references: dict[int, float]) -> tuple[LoopVersion, ...]:
    """Every version, from its making to its end.

    Args:
        known: What the registry knows.
        references: The metric that a version had when it was registered, by number, where windows tell it.
    """
    return tuple(_version(one, known, references) for one in known.made)


def told_events(entries: Sequence[DecisionEntry], known: Registry) -> tuple[LoopEvent, ...]:
    """What happened, oldest first: decisions at the end of their window, the rest when it was done."""
    events = [*_of_decisions(entries), *_of_moves(entries, known), *_of_rollouts(known)]
    return tuple(sorted(events, key=lambda event: event.at))


def _version(one: Made, known: Registry, references: dict[int, float]) -> LoopVersion:
    spans = tuple((life.since, life.until) for life in known.lives if life.version == one.version)
    return LoopVersion(
        version=one.version,
        state=_state(one, known),
        trained_until=one.trained_until,
        live_since=spans[-1][0] if spans else None,
        live_until=spans[-1][1] if spans else None,
        auc=references.get(one.version, one.score),
        reason=one.reason,
        lives=spans,
        verdict=one.verdict,
    )


def _state(one: Made, known: Registry) -> VersionState:
    left = [move for move in known.moves if move.before == one.version]
    if known.moves and known.moves[-1].version == one.version:
        return "live"
    running = [episode for episode in known.episodes if not episode.ending and episode.probation_of is None]
    if any(episode.version == one.version for episode in running):
        return "challenger"
    if left:
        return "rolled back" if left[-1].is_rollback else "replaced"
    return "not promoted" if one.outcome else "not judged"


def _of_decisions(entries: Sequence[DecisionEntry]) -> Iterator[LoopEvent]:
    for entry in entries:
        decision = entry.decision
        if decision.verdict == "retrain" and entry.state != "closed":  # else another decision stood for it
            yield LoopEvent(decision.window.end, "retraining", None, decision.reason)
        if entry.outcome in OUTCOMES:
            kind = OUTCOMES[entry.outcome]
            yield LoopEvent(decision.window.end, kind, entry.candidate_version, entry.detail or "")


def _of_moves(entries: Sequence[DecisionEntry], known: Registry) -> Iterator[LoopEvent]:
    """The first version, what a person promoted or took back, and what a person trained that was kept back."""
    told = {entry.candidate_version for entry in entries if entry.outcome in OUTCOMES}
    for move in known.moves:
        if move.is_rollback:
            yield LoopEvent(
                move.at, "rollback", move.version, f"{move.who} went back from v{move.before}: {move.reason}"
            )
        elif move.version not in told:
            yield LoopEvent(move.at, "promotion" if move.before else "release", move.version, move.reason)
    for one in known.made:
        if one.version not in told and OUTCOMES.get(one.outcome) == "rejection":
            yield LoopEvent(one.at, "rejection", one.version, one.verdict)


def _of_rollouts(known: Registry) -> Iterator[LoopEvent]:
    for episode in known.episodes:
        watched = episode.probation_of
        what = "its rollout" if watched is None else f"the probation of v{watched}"
        for step in episode.steps:
            if watched is not None:
                detail = f"v{watched} is on probation; this version answers unseen beside it"
                yield LoopEvent(step.since, "rollout", episode.version, detail)
                continue
            share = f" of {step.share:.0%}" if step.variant == "canary" else ""
            yield LoopEvent(step.since, "rollout", episode.version, f"{step.variant}{share}, step {step.step}")
        if episode.until is not None:
            detail = f"{what} ended, {episode.ending}: {episode.reason}"
            yield LoopEvent(episode.until, "rollout", episode.version, detail)

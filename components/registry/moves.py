"""How the alias `champion` moved: which version took over from which, when, why and, of a rollback, by whom.

MLflow keeps where the alias stands and nothing of where it stood. Each move is therefore noted on the version that it
leads to, before the alias moves, and names the version that it leads away from. A note alone proves nothing, since
whoever wrote it may have been killed: it is true if its version is where the alias stands, or where the next true move
began. So the alias is the one fact, and a crash between note and alias leaves no trace in what is told.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

ROLLBACK = "everfit.rollback."


@dataclass(frozen=True, slots=True)
class Move:
    """One move of the alias.

    Attributes:
        version: The version that took over.
        before: The champion until then; None for the first.
        at: When (UTC).
        reason: Why: the verdict's sentence, or what a person said.
        who: Who rolled back, `everfit` if a probation did; empty for a promotion.
        is_rollback: Whether it led back; else the judge let the version through.
    """

    version: int
    before: int | None
    at: datetime
    reason: str = ""
    who: str = ""
    is_rollback: bool = False


def note_of(move: Move) -> tuple[str, str]:
    """The tag that stands for a rollback: its name, which no other has, and its value."""
    facts = {"from": move.before, "to": move.version, "at": move.at.isoformat(), "who": move.who}
    return f"{ROLLBACK}{move.at:%Y%m%dT%H%M%S.%fZ}", json.dumps(facts | {"reason": move.reason})


def true_moves(found: Sequence[Any], champion: int | None) -> list[Move]:
    """The moves that led to where the alias stands, oldest first.

    A champion that nobody noted was set by hand: then the newest note before it counts. Clocks of all who move the
    alias must agree.

    Args:
        found: MLflow's records of all versions.
        champion: The version that has the alias, read before the records were; None if none has it.
    """
    noted = sorted((move for item in found for move in _noted(item)), key=lambda move: (move.at, move.version))
    moves: list[Move] = []
    current = champion
    while noted and current is not None:
        move = noted.pop()
        if move.version == current or all(current != other.version for other in noted):
            moves.append(move)
            current = move.before
    return moves[::-1]


def _noted(item: Any) -> Iterator[Move]:
    """What stands on one version, true or not."""
    version, tags = int(item.version), item.tags
    if "promoted_at" in tags:
        at = datetime.fromisoformat(tags["promoted_at"])
        before = tags.get("took_over_from")
        # A probation may have added to the verdict since.
        reason = tags.get("promoted_because", tags.get("verdict", ""))
        yield Move(version, int(before) if before else None, at, reason)
    for name, value in tags.items():
        if name.startswith(ROLLBACK):
            note = json.loads(value)
            at = datetime.fromisoformat(note["at"])
            yield Move(version, note["from"], at, note["reason"], note["who"], is_rollback=True)

"""Every version that was made: when, from which rows, why, and what was said of it; one request for all."""

from dataclasses import dataclass
from datetime import UTC, datetime

from components.registry.learned import TRAINED_UNTIL
from components.registry.tracking import reaching
from components.registry.versions import registered


@dataclass(frozen=True, slots=True)
class Made:
    """A version, as its tags tell of it.

    Attributes:
        version: Its number.
        at: When it was registered (UTC).
        reason: Why it was trained.
        trained_until: Event time up to which it learned, or up to which its data reached (UTC); None if unknown.
        outcome: `promote`, `reject` or `inconclusive`; empty if it was not judged (yet).
        verdict: What the judge said, as one sentence; empty if it was not judged.
        score: The deciding metric on the judge's rows; None if it was not judged by this metric.
        decision_id: The decision that asked for it; empty if a person did.
    """

    version: int
    at: datetime
    reason: str
    trained_until: datetime | None
    outcome: str
    verdict: str
    score: float | None
    decision_id: str


def made_versions(name: str, metric: str) -> list[Made]:
    """Every version of that name, oldest first; empty if there is none.

    Args:
        name: Name of the model.
        metric: Name of the deciding metric.

    Raises:
        PassingFault: If the registry cannot be reached.
    """
    with reaching(f"the versions of {name}"):
        found = registered(name)
    return [_made(int(item.version), item.creation_timestamp, item.tags, metric) for item in found]


def _made(version: int, created_ms: int, tags: dict[str, str], metric: str) -> Made:
    until, score = tags.get(TRAINED_UNTIL) or tags.get("until"), tags.get(f"candidate_{metric}")
    return Made(
        version=version,
        at=datetime.fromtimestamp(created_ms / 1000, UTC),
        reason=tags.get("reason", ""),
        trained_until=datetime.fromisoformat(until).astimezone(UTC) if until else None,
        outcome=tags.get("outcome", ""),
        verdict=tags.get("verdict", ""),
        score=float(score) if score and score != "nan" else None,
        decision_id=tags.get("decision_id", ""),
    )

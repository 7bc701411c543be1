"""A rule that was looked at, and what its failure means for the verdict."""

from dataclasses import dataclass

from components.records.scores import Rule


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule with its numbers.

    Attributes:
        rule: The rule.
        rejects: Whether its failure says that the candidate is bad; if not, that nothing is settled.
        rows_to_settle: How many more labelled rows would settle it; None if it is settled, or if no number would do.
        outlook: What would settle it, as the end of a sentence; empty where rows are not what is missing.
    """

    rule: Rule
    rejects: bool = False
    rows_to_settle: int | None = None
    outlook: str = ""


def held(name: str, detail: str) -> Finding:
    """A rule that holds."""
    return Finding(Rule(name, True, detail))


def unsettled(name: str, detail: str, *, rows_to_settle: int | None = None, outlook: str = "") -> Finding:
    """A rule that fails without saying that the candidate is bad: a fact is missing, or the rows are too few."""
    return Finding(Rule(name, False, detail), rejects=False, rows_to_settle=rows_to_settle, outlook=outlook)


def checked(name: str, passed: bool, detail: str) -> Finding:
    """A rule whose failure says that the candidate is bad."""
    return Finding(Rule(name, passed, detail), rejects=not passed)

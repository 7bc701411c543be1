"""What people are told of when it happens."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that happened, told once to everyone who is to know.

    Attributes:
        project: Name of the project.
        event: What happened: `breach`, `retraining`, `promotion`, `rejection`, `rollback`, `broken_data`, or `test`.
        key: What stands for this one happening: a measured window or a repeated task gives the same again.
        subject: What happened, in a few words.
        reason: Why, as one sentence with numbers.
        link: Address or path of the report; empty if there is none.
        version: The version that it is about; None if it is about none.
    """

    project: str
    event: str
    key: str
    subject: str
    reason: str
    link: str = ""
    version: int | None = None

    @property
    def text(self) -> str:
        """The reason, and where to look further."""
        return f"{self.reason}\n{self.link}" if self.link else self.reason

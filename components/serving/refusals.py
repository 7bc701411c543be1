"""A request that is refused: the status, one sentence, and every problem that was found."""

import re
from dataclasses import asdict, dataclass
from http import HTTPStatus

from components.errors import EverfitError

# A path that belongs to no address. Its last part says enough to whoever asks from outside.
FOLDERS = re.compile(r"(?<![\w:/.])/(?:[^\s/:;,'\"()]+/)+")

NO_CHAMPION = "no version has the alias champion yet; run everfit train"


def without_folders(text: str) -> str:
    """A sentence for those outside: files by their name, without the folders that they stand in."""
    return FOLDERS.sub("", text)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one value of one row.

    Attributes:
        row: Position of the row in the request, counted from 0; None if it is the whole column that is wrong.
        column: Name of the column.
        wanted: What would have been right.
        found: What was sent, shortened.
    """

    row: int | None
    column: str
    wanted: str
    found: str

    def __str__(self) -> str:
        where = "" if self.row is None else f"row {self.row}, "
        return f"{where}column '{self.column}': wanted {self.wanted}, found {self.found}"


class Refused(EverfitError, ValueError):
    """A request that is answered with a status from 400 to 504 and a sentence.

    Args:
        status: HTTP status.
        error: The sentence.
        problems: What is wrong with its rows.
        allow: The method that would be right, of a 405.
        retry_seconds: When to send it again, of a 429 or 503.
        reason: One word to count it under, where it was not the request that was wrong.
    """

    def __init__(
        self,
        status: int,
        error: str,
        problems: tuple[Problem, ...] = (),
        allow: str = "",
        *,
        retry_seconds: int = 1,
        reason: str = "",
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.problems = problems
        self.reason = reason
        self._allow = allow
        self._retry_seconds = retry_seconds

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What the status asks for beside the body."""
        if self.status == HTTPStatus.METHOD_NOT_ALLOWED:
            return [(b"allow", self._allow.encode())]
        if self.status == HTTPStatus.UNAUTHORIZED:
            return [(b"www-authenticate", b"Bearer")]
        if self.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
            return [(b"retry-after", str(self._retry_seconds).encode())]
        return []

    def body(self) -> dict[str, object]:
        """What the application gets: `error`, and `problems` if rows are wrong."""
        if not self.problems:
            return {"error": self.error}
        return {"error": self.error, "problems": [asdict(problem) for problem in self.problems]}

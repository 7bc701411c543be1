"""A request that is refused: the status, one sentence, and every problem that was found."""

import re
from dataclasses import asdict, dataclass

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
    """A request that is answered with a status from 400 to 503 and a sentence."""

    def __init__(self, status: int, error: str, problems: tuple[Problem, ...] = (), allow: str = "") -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.problems = problems
        self.allow = allow

    def body(self) -> dict[str, object]:
        """What the application gets: `error`, and `problems` if rows are wrong."""
        if not self.problems:
            return {"error": self.error}
        return {"error": self.error, "problems": [asdict(problem) for problem in self.problems]}

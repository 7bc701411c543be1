"""What lies before the judge: labelled rows, what each side answered to them, and what was measured of the candidate.

Everything is in memory, and hashes say which rows an answer belongs to. Gathering it is the business of `contest`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.evaluation.intervals import Answers
from components.evaluation.predicting import Array
from components.records.models import Footprint
from components.records.scores import Rule


@dataclass(frozen=True, slots=True, eq=False)
class RowAnswers:
    """A model's answers to some rows, with the content hash of the rows that it was asked."""

    answers: Answers
    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class LabelledRows:
    """What was true of some rows: shape (rows,), and the content hash of the rows."""

    truth: Array
    sha256: str

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.truth.shape[0])

    def are_answered_by(self, given: RowAnswers | None) -> bool:
        """Whether these are answers to these very rows: same content, same number."""
        return given is not None and given.sha256 == self.sha256 and given.answers.prediction.shape[0] == self.rows


@dataclass(frozen=True, slots=True, eq=False)
class JudgedRows:
    """The rows that a contest is held on.

    Attributes:
        recent: The newest labelled rows, which decide.
        holdout: Older rows that no version has ever learned from; None where the project keeps none.
        seen: Name of a part that was judged or chosen on to the share of its rows that the candidate learned from.
        slices: Declared slice column to the slice of each recent row, text of shape (rows,).
        groups: Declared group column to the group of each recent row, text of shape (rows,).
    """

    recent: LabelledRows
    holdout: LabelledRows | None = None
    seen: Mapping[str, float] = field(default_factory=dict)
    slices: Mapping[str, Array] = field(default_factory=dict)
    groups: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """One side of a contest.

    Attributes:
        recent: Its answers to the recent rows.
        holdout: Its answers to the holdout; None if there is none.
        comparator: What the simple model that it must beat answered to the recent rows; None if there is none.
        behaviours: The behaviour tests of the project file, each with its numbers; None if they were not run.
        footprint: What one request costs on this machine; None if it was not measured.
        megabytes: Size of its graph in MB (10^6 bytes); None if it is not known.
    """

    recent: RowAnswers
    holdout: RowAnswers | None = None
    comparator: Answers | None = None
    behaviours: tuple[Rule, ...] | None = None
    footprint: Footprint | None = None
    megabytes: float | None = None

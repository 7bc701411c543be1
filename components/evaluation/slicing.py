"""Parts of the rows with a name: those that the project file declares, and the worst ones that nobody declared.

A slice is told by columns that an application sends, so that whoever reads it knows where the model is weak. What the
metrics are there is measured elsewhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from statistics import NormalDist

import numpy as np
import polars

from components.data.feeds import text_of
from components.errors import SchemaMismatch
from components.evaluation.predicting import Array

# A number column with more values than this is sliced at its quartiles instead of value by value.
SLICE_VALUES = 20
# Pairs are looked for among so many columns, those whose own slices stand out most: 190 pairs take 0.1 s, 20,000 ten.
PAIRED_COLUMNS = 20
# Chance that a search through rows that are all alike reports anything.
FALSE_ALARM = 0.05
# A slice that shares more of its rows than this with a worse one tells nothing new.
MOST_OVERLAP = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class _Coded:
    """A column's slices as numbers: code of each row, shape (rows,), from 0; the last code is no slice."""

    name: str
    labels: tuple[str, ...]
    codes: Array

    @property
    def size(self) -> int:
        return len(self.labels) + 1


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A slice of one column or two: by how much its mean loss is above the other rows', and that difference's error."""

    parts: tuple[tuple[_Coded, int], ...]
    worse_by: float
    error: float

    @property
    def name(self) -> str:
        return " & ".join(f"{column.name}={column.labels[code]}" for column, code in self.parts)

    def mask(self) -> Array:
        return np.asarray(np.logical_and.reduce([column.codes == code for column, code in self.parts]))


def slice_labels(column: polars.Series) -> polars.Series:
    """The name of each row's slice: its value, or the quarter of the values that it is in; `missing` for none."""
    if not column.dtype.is_numeric():
        return column.cast(polars.String).fill_null("missing")
    numbers = column.cast(polars.Float64).fill_nan(None)
    if numbers.n_unique() <= SLICE_VALUES:
        names = {value: text_of(value) or "missing" for value in numbers.unique()}
        return numbers.replace_strict(names, return_dtype=polars.String)
    finite = numbers.filter(numbers.is_finite()).to_numpy()
    # Four digits read well; of a year or a price, six are needed.
    quartiles = [float(edge) for edge in np.quantile(finite, [0.25, 0.5, 0.75])]
    edges = {f"{edge:.4g}" if abs(edge) < 1_000 else f"{edge:g}": edge for edge in quartiles}
    shown = list(edges)
    middle = [f"{low} to {high}" for low, high in pairwise(shown)]
    labels = [f"up to {shown[0]}", *middle, f"over {shown[-1]}"]
    return numbers.cut(list(edges.values()), labels=labels).cast(polars.String).fill_null("missing")


def declared_slices(frame: polars.DataFrame, columns: Sequence[str], *, min_rows: int) -> dict[str, Array]:
    """Every slice of these columns that has enough rows, largest of a column first.

    Args:
        frame: The rows.
        columns: Which columns; each value, or each quarter of its numbers, is a slice.
        min_rows: Slices with fewer rows are left out.

    Returns:
        Name (`origin=EWR`) to which rows are in it, boolean of shape (rows,).

    Raises:
        SchemaMismatch: If a column is not there.
    """
    absent = [name for name in columns if name not in frame.columns]
    if absent:
        raise SchemaMismatch(
            f"evaluation.slices and evaluation.groups name {absent}, but the rows hold {frame.columns}; "
            "correct the project file"
        )
    found: dict[str, Array] = {}
    for name in columns:
        coded = _coded(frame[name], min_rows)
        found |= {f"{name}={label}": coded.codes == code for code, label in enumerate(coded.labels)}
    return found


def find_slices(
    frame: polars.DataFrame,
    columns: Iterable[str],
    losses: Array,
    *,
    declared: Iterable[str] = (),
    min_rows: int,
    most: int,
) -> dict[str, Array]:
    """The worst slices by one column or by two: those whose mean loss is above that of the other rows, beyond doubt.

    Ranked by the lower end of the difference, at a confidence that allows for how many slices were looked at: a small
    slice must be much worse to come before a large one, and rows that are all alike give none, but for 1 time in 20.

    Args:
        frame: The rows.
        columns: The columns to look at.
        losses: Loss of each row, shape (rows,); higher is worse.
        declared: Columns whose own slices are known already; they still count in pairs.
        min_rows: Slices with fewer rows are not looked at.
        most: So many at most.

    Returns:
        Name (`origin=EWR & temp=over 57`) to which rows are in it, boolean of shape (rows,); worst first.

    Source:
        The search by one column and by two follows Chung et al. (2019), Slice Finder, ICDE 2019, arXiv:1807.06068;
        instead of their alpha investing, the level is divided by the number of slices looked at (Bonferroni).
    """
    coded = [_coded(frame[name], min_rows) for name in columns]
    alone = [candidate for column in coded for candidate in _candidates((column,), losses, min_rows)]
    chosen = _most_telling(coded, alone)
    paired = [found for pair in combinations(chosen, 2) for found in _candidates(pair, losses, min_rows)]
    known = set(declared)
    candidates = [found for found in alone if found.parts[0][0].name not in known] + paired
    if not candidates:
        return {}
    sure = NormalDist().inv_cdf(1 - FALSE_ALARM / len(candidates))
    return _apart({found: found.worse_by - sure * found.error for found in candidates}, most)


def _apart(bounds: Mapping[_Candidate, float], most: int) -> dict[str, Array]:
    """The highest of those above 0 that are not, for the larger part, the rows of a higher one."""
    taken: dict[str, Array] = {}
    for candidate in sorted((found for found in bounds if bounds[found] > 0), key=lambda found: -bounds[found]):
        if len(taken) >= most:
            break
        rows = candidate.mask()
        if all((rows & other).sum() <= MOST_OVERLAP * min(rows.sum(), other.sum()) for other in taken.values()):
            taken[candidate.name] = rows
    return taken


def _most_telling(coded: Sequence[_Coded], alone: Iterable[_Candidate]) -> list[_Coded]:
    """The columns to be paired: where there are many, those with a slice that stands out most."""
    scores = dict.fromkeys((column.name for column in coded), 0.0)
    for found in alone:
        name = found.parts[0][0].name
        scores[name] = max(scores[name], abs(found.worse_by) / found.error if found.error else 0.0)
    kept = sorted(coded, key=lambda column: -scores[column.name])[:PAIRED_COLUMNS]
    return [column for column in coded if column in kept]


def _candidates(columns: tuple[_Coded, ...], losses: Array, min_rows: int) -> list[_Candidate]:
    """The slices by these columns together that leave enough rows inside and outside."""
    sizes = tuple(column.size for column in columns)
    codes = np.ravel_multi_index(tuple(column.codes for column in columns), sizes)
    length = int(np.prod(sizes))
    rows = np.bincount(codes, minlength=length)
    total = np.bincount(codes, losses, minlength=length)
    squares = np.bincount(codes, losses * losses, minlength=length)
    places = np.stack(np.unravel_index(np.arange(length), sizes))
    named = (places < np.array(sizes)[:, None] - 1).all(axis=0)
    large = np.flatnonzero(named & (rows >= min_rows) & (losses.size - rows >= min_rows))
    inside = _mean_and_error(rows[large], total[large], squares[large])
    others = losses.size - rows[large], losses.sum() - total[large], np.square(losses).sum() - squares[large]
    outside = _mean_and_error(*others)
    worse_by, error = inside[0] - outside[0], np.hypot(inside[1], outside[1])
    return [
        _Candidate(tuple(zip(columns, places[:, place].tolist(), strict=True)), float(by), float(unsure))
        for place, by, unsure in zip(large, worse_by, error, strict=True)
    ]


def _mean_and_error(rows: Array, total: Array, squares: Array) -> tuple[Array, Array]:
    """Mean and its standard error of groups of losses, each of shape (groups,)."""
    mean = total / rows
    return mean, np.sqrt(np.maximum(squares / rows - mean * mean, 0) / rows)


def _coded(column: polars.Series, min_rows: int) -> _Coded:
    """The column's slices of enough rows, largest first; all other rows are in none."""
    labels = slice_labels(column)
    counted = labels.value_counts(name="rows").sort(["rows", column.name], descending=[True, False])
    kept = counted.filter(polars.col("rows") >= min_rows)[column.name].to_list()
    codes = {name: code for code, name in enumerate(kept)}
    numbers = labels.replace_strict(codes, default=len(kept), return_dtype=polars.Int64)
    return _Coded(column.name, tuple(kept), numbers.to_numpy())

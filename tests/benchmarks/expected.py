"""How near the quality that is expected without labels comes to the true one, on real rows and models of our own.

    python tests/benchmarks/expected.py

Each model is made by the project's own training path, calibration included, and answers rows that it never saw:

- employment: learned from 2015, asked about 2016 to 2018, in windows of 5,000 people (American Community Survey, inside
  the PyPI package nannyml);
- flights, shuffled: 2013 without its order in time, so nothing drifts; learned until April, asked week by week;
- flights: the same in their own order: the months differ in more than the inputs tell, so the expectation errs;
- flights, labels flipped: the shuffled ones with every label turned round, which no input shows.

`inside` counts windows whose true value lies in the expected 95 % interval. Without drift 19 of 20 would, if the
expectation erred in nothing but the draw of the rows. `raw gap` is that of the expectation as it is, before it is put
on the scale of the registration.
"""

import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from components.monitoring.expected import anchored, expected_quality  # noqa: E402 - the root must be found first
from components.monitoring.quality import quality_of  # noqa: E402
from components.monitoring.references import reference_rows  # noqa: E402
from components.records.models import ModelFiles  # noqa: E402
from components.settings.monitoring import MonitoringSettings  # noqa: E402
from tests.benchmarks import watched  # noqa: E402

METRICS = ("roc_auc", "accuracy", "log_loss", "average_precision")
WINDOW_ROWS = 5_000
WEEK = timedelta(days=7)
WHEN = "scheduled_departure"
FOLDER = watched.CACHE / "expected"
TABLE = Path(__file__).parent / "results" / "expected.txt"


@dataclass(frozen=True, slots=True)
class Case:
    """Windows of labelled answers."""

    name: str
    windows: list[pl.DataFrame]
    files: ModelFiles


def main() -> None:
    """Print the table and keep it."""
    lines = [f"$ python tests/benchmarks/expected.py    # {platform.machine()}; {datetime.now(UTC):%Y-%m-%d}"]
    columns = f"{'true':>8}{'expected':>10}{'mean gap':>10}{'largest':>9}{'inside':>11}{'raw gap':>9}"
    lines.append(f"{'windows':34}{'metric':20}{columns}")
    for case in (employment(), *flights()):
        lines += [line(case, metric) for metric in METRICS]
        watched.say(f"{case.name}: {len(case.windows)} windows measured")
    print("\n".join(lines))
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def employment() -> Case:
    """People of 2016 to 2018."""
    rows, later = watched.acs_years(), datetime(2016, 1, 1, tzinfo=UTC)
    live = watched.make(
        watched.acs_project(MonitoringSettings()), rows.filter(pl.col("at") < later), FOLDER / "employment"
    )
    answered = live.answer(rows.filter(pl.col("at") >= later))
    windows = [part for _, part in watched.windows_by_rows(answered, "at", WINDOW_ROWS)]
    return Case("employment, 5,000 rows", windows, live.files)


def flights() -> Iterator[Case]:
    """Flights from May on, week by week: without their order in time, in it, and with another meaning."""
    project = watched.flights_project()
    year = watched.year_of_flights(project)
    cases = {}
    for name, folder, rows in (
        ("flights, shuffled, by week", "shuffled", watched.shuffled(year, WHEN, np.random.default_rng(2013))),
        ("flights, by week", "flights", year),
    ):
        live = watched.make(project, rows.filter(pl.col(WHEN) < watched.BEGIN), FOLDER / folder)
        answered = live.answer(rows.filter(pl.col(WHEN) >= watched.BEGIN))
        windows = [
            answered.filter(pl.col(WHEN).is_between(one.start, one.end, closed="left"))
            for one in watched.windows_by_time(answered, WHEN, WEEK, watched.BEGIN)
        ]
        cases[name] = Case(name, windows, live.files)
    yield from cases.values()
    same = cases["flights, shuffled, by week"]
    flipped = [window.with_columns(label=1 - pl.col("label")) for window in same.windows]
    yield Case("flights, shuffled, labels flipped", flipped, same.files)


def line(case: Case, metric: str) -> str:
    """One row of the table: the expectation as it is, and on the scale of the registration, as windows have it."""
    schema, usual = case.files.schema, expected_quality(reference_rows(case.files), case.files.schema, metric)
    assert usual is not None
    raw, expected, truth = [], [], []
    for window in case.windows:
        found, true = expected_quality(window, schema, metric), quality_of(window, schema, metric)
        assert found is not None
        assert true is not None
        raw.append(found.value)
        expected.append(anchored(found, usual, case.files.metrics[metric], metric))
        truth.append(true)
    gaps = np.abs([found.value - true for found, true in zip(expected, truth, strict=True)])
    raw_gap = np.abs(np.subtract(raw, truth)).mean()
    inside = sum(found.low <= true <= found.high for found, true in zip(expected, truth, strict=True))
    values = f"{np.mean(truth):8.4f}{np.mean([found.value for found in expected]):10.4f}"
    share = f"{inside} of {len(truth)}"
    return f"{case.name:34}{metric:20}{values}{gaps.mean():10.4f}{gaps.max():9.4f}{share:>11}{raw_gap:9.4f}"


if __name__ == "__main__":
    main()

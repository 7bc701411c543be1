"""The rows that a window is compared with where these are not the training rows: those before, or of the same season.

Weather in March differs from that of January every year; from last March it does not.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl
from deltalake import DeltaTable

from components.data.blocks import rows_before
from components.data.kinds import typed_as
from components.data.splits import sample
from components.data.windows import draw_inputs, with_columns_of
from components.errors import SchemaMismatch
from components.records.rows import Schema
from components.records.watching import Window
from components.settings.project import Project

# The same rows are drawn each time a window is measured, so that its facts can be repeated.
SEED = 7

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """Rows that a window is compared with.

    Attributes:
        name: Where they come from.
        rows: At most `monitoring.sample_rows` of them, with the raw features.
    """

    name: Literal["previous", "same-season"]
    rows: pl.DataFrame


def baseline(project: Project, schema: Schema, window: Window, *, ledger: Path, tables: Path) -> Baseline | None:
    """The rows that `monitoring.reference` asks for; None where the training rows are to be taken.

    The window before is as long as this one, or of as many rows where windows are counted by rows. The same season is
    this window, `monitoring.season` earlier: from the ledger, else from the newest version of the project's table,
    which reaches further back.

    Args:
        project: Whose window it is.
        schema: What a row of the version that answered looks like.
        window: The window that is measured.
        ledger: The project's ledger folder.
        tables: Folder of the project's table versions.

    Returns:
        None also where there are fewer than `trigger.min_rows` rows: a reference must not say less than a window may.
    """
    monitoring = project.monitoring
    if monitoring.reference == "training":
        return None
    if monitoring.reference == "previous":
        earlier = _before(project, window, ledger)
    else:
        earlier = Window(window.start - monitoring.season, window.end - monitoring.season)
    few, most = monitoring.trigger.min_rows, monitoring.sample_rows
    count, rows = draw_inputs(ledger, earlier, schema=schema, most=most) if earlier else (0, None)
    if count < few and earlier and monitoring.reference == "same-season":
        found = _of_table(project, schema, earlier, tables)
        count, rows = (0, None) if found is None else (found.height, sample(found, most, SEED))
    if count < few or rows is None:
        log.info(
            "window compared with the training rows project=%s window=%s wanted=%s rows=%d",
            *(project.name, window, monitoring.reference, count),
        )
        return None
    return Baseline(monitoring.reference, rows)


def _before(project: Project, window: Window, ledger: Path) -> Window | None:
    rows = project.monitoring.window_rows
    if rows is not None:
        return rows_before(ledger, rows, until=window.start)
    return Window(window.start - (window.end - window.start), window.start)


def _of_table(project: Project, schema: Schema, season: Window, folder: Path) -> pl.DataFrame | None:
    """That season's rows of the newest table version, with a column that it does not have missing in each row."""
    if not DeltaTable.is_deltatable(str(folder)):
        return None
    when = pl.col(schema.timestamp)
    rows = pl.scan_delta(str(folder)).filter(when >= season.start, when < season.end)
    dtypes = {"number": pl.Float64, "category": pl.String}
    wanted = {column.name: dtypes[column.kind] for column in schema.features}
    try:
        return typed_as(with_columns_of(rows, wanted).collect(), schema, str(folder))
    except (SchemaMismatch, pl.exceptions.PolarsError) as err:
        log.warning("season left out project=%s reason=the table does not fit the version: %s", project.name, err)
        return None

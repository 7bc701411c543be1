"""Where a window's rows are not what the training table had to be: the same checks, told and never raised."""

import logging

import polars as pl

from components.data.schema import mistakes_in
from components.records.rows import Schema
from components.settings.project import DataSettings

log = logging.getLogger(__name__)


def breaks_of(frame: pl.DataFrame, schema: Schema, data: DataSettings) -> tuple[str, ...]:
    """One sentence for each check that the window's rows fail; whatever stands in them, nothing is raised.

    Args:
        frame: The window's rows.
        schema: What a row of the version that answered looks like, without columns that the ledger does not hold.
        data: The project's data settings, for the declared bounds.
    """
    try:
        return tuple(mistakes_in(frame, schema, data))
    except Exception as err:  # noqa: BLE001  rows that nobody foresaw must not end the watching of all others
        log.warning("window could not be held against the schema reason=%s", err)
        return (f"the rows could not be held against the schema: {type(err).__name__}: {str(err).splitlines()[0]}",)

"""Keeps the tracebacks of our own errors out of the terminal, when a flow runs in the process of a command.

Prefect logs every exception of a flow or a task with its traceback. An error that we raise on purpose is a sentence,
and the command prints it at its end; of any other error the traceback stays, because it is a bug.
"""

import logging

from components.errors import EverfitError

RUN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")


def instead_of_tracebacks() -> None:
    """From now on, an `EverfitError` that ends a flow or a task of this process is not logged with its traceback."""
    for name in RUN_LOGGERS:
        logging.getLogger(name).addFilter(_is_not_ours)


def _is_not_ours(record: logging.LogRecord) -> bool:
    """Whether the record may be logged as it is: it tells no error of ours."""
    return not (record.exc_info and isinstance(record.exc_info[1], EverfitError))

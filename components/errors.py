"""Every error that Everfit raises on purpose.

Each message has three parts: what was wanted, what was found, what to do next. Each error also inherits the built-in
that a caller would expect, so `except ValueError` keeps working.

    EverfitError
    ├── ProjectFileError (ValueError)     the project file says something that cannot be meant
    ├── KeysError (ValueError)            API keys that cannot be read, or a name that cannot be
    ├── DataError (ValueError)            a table is not what it must be
    │   ├── SchemaMismatch                columns missing, mistyped or out of range
    │   ├── LeakFound                     a feature knows the answer
    │   ├── NotEnoughRows                 too few rows to learn, to judge or to say anything
    │   └── TableMismatch                 two scores that rest on different rows
    ├── ModelError (RuntimeError)         a model is not what it must be
    │   ├── ModelNotFound (LookupError)   no such name, version or alias
    │   ├── ModelRefused                  tampered with, of a refused format, or not the same as what was scored
    │   ├── TrainingFailed                the training process ended without a model
    │   └── BudgetMissed                  none of its variants is within the budget of inference
    ├── LedgerError (RuntimeError)        the ledger cannot be written or read
    ├── ServerError (RuntimeError)        a server of the stack
    │   ├── PortInUse                     someone else listens where it should
    │   └── ServerNotHealthy              it did not answer in time, or gave up
    └── PassingFault (ConnectionError)    trying again may help: a network, a busy server. Only this is retried.
"""


class EverfitError(Exception):
    """The root: catch this to catch all that Everfit raises on purpose."""


class ProjectFileError(EverfitError, ValueError):
    """The project file says something that cannot be meant; the message lists every mistake with its line."""


class KeysError(EverfitError, ValueError):
    """API keys cannot be read, or a key of that name cannot be made, added or removed."""


class DataError(EverfitError, ValueError):
    """A table is not what it must be."""


class SchemaMismatch(DataError):
    """Columns are missing, mistyped or out of range."""


class LeakFound(DataError):
    """A feature knows the answer."""


class NotEnoughRows(DataError):
    """Too few rows to learn, to judge or to say anything."""


class TableMismatch(DataError):
    """Two scores that rest on different rows, or on none."""


class ModelError(EverfitError, RuntimeError):
    """A model is not what it must be."""


class ModelNotFound(ModelError, LookupError):
    """No such model, version or alias in the registry."""


class ModelRefused(ModelError):
    """A model file was tampered with, is of a refused format, or is not the model that was scored."""


class TrainingFailed(ModelError):
    """The training process ended without a model."""


class BudgetMissed(ModelError):
    """No variant of a model is within the budget of inference; the message says by how much each missed it."""


class LedgerError(EverfitError, RuntimeError):
    """The ledger cannot be written or read."""


class ServerError(EverfitError, RuntimeError):
    """A server of the stack could not be started or reached."""


class PortInUse(ServerError):
    """Someone else listens on the port that a server should have."""


class ServerNotHealthy(ServerError):
    """A server did not become healthy in time, or gave up."""


class PassingFault(EverfitError, ConnectionError):
    """Trying again may help: a network, a busy server. Retries look at this and at nothing else."""

"""Records as JSON."""

import math
from datetime import datetime
from pathlib import Path
from typing import Any


def to_jsonable(record: Any) -> Any:
    """A record as what `json.dumps` accepts: paths and times as text, tuples as lists."""
    if hasattr(record, "__dataclass_fields__"):
        return {name: to_jsonable(getattr(record, name)) for name in record.__dataclass_fields__}
    if isinstance(record, dict):
        return {str(key): to_jsonable(value) for key, value in record.items()}
    if isinstance(record, (list, tuple)):
        return [to_jsonable(item) for item in record]
    return _plain(record)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    # JSON has no NaN, and strict readers refuse it.
    return None if isinstance(value, float) and not math.isfinite(value) else value

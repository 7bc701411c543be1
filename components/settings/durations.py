"""Durations as people write them: 30s, 15m, 12h, 7d, 2w."""

import re
from datetime import timedelta
from typing import Any

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(text: Any) -> Any:
    """A timedelta from text such as `7d`; anything else is handed on for pydantic to judge.

    Raises:
        ValueError: If text is not a positive number with a unit of s, m, h, d or w, or is too long.
    """
    if not isinstance(text, (str, int, float)):
        return text
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", str(text))
    try:
        duration = timedelta(**{UNITS[found[2]]: float(found[1])}) if found else timedelta(0)
    except OverflowError:
        duration = timedelta(0)
    if not duration:
        raise ValueError(f"wanted a duration such as 30s, 15m, 12h, 7d or 2w, found {text!r}")
    return duration

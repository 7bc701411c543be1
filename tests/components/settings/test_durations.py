"""Durations are written as people write them, and nothing else is taken for one."""

from datetime import timedelta

import pytest

from components.settings.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("30s", timedelta(seconds=30)),
        ("15m", timedelta(minutes=15)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
        (" 1.5 h ", timedelta(minutes=90)),
    ],
)
def test_a_number_with_a_unit_is_a_duration(text: str, duration: timedelta):
    """Seconds, minutes, hours, days, weeks; also fractions."""
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text", ["7 days", "d", "", "-1d", "0h", "7", 7, 7.0, True, "1M", "1h30m", "0.0000001s", "1e3s"]
)
def test_anything_else_is_refused_with_examples(text: object):
    """The message shows how to write one."""
    with pytest.raises(ValueError, match="wanted a duration such as 30s, 15m, 12h, 7d or 2w, found "):
        parse_duration(text)


def test_a_duration_longer_than_python_can_hold_is_refused():
    """It is a mistake of the file like any other, not a crash."""
    with pytest.raises(ValueError, match="found '99999999999w'"):
        parse_duration("99999999999w")


def test_a_timedelta_stays_what_it_is():
    """Settings made in Python need no text."""
    assert parse_duration(timedelta(days=3)) == timedelta(days=3)

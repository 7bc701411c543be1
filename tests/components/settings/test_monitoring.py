"""What the written policy may say of a retraining."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from components.settings.monitoring import RetrainSettings


@pytest.mark.parametrize(
    ("window", "newest", "halved"),
    [
        ("all", None, None),
        ("sliding", timedelta(days=60), None),
        ("recency", None, timedelta(days=20)),
    ],
)
def test_a_length_counts_where_the_window_slides_and_a_half_life_where_rows_weigh(window, newest, halved):
    """What belongs to another window is not looked at."""
    settings = RetrainSettings(window=window, length="60d", half_life="20d")

    assert (settings.newest, settings.halved) == (newest, halved)


def test_a_sliding_window_must_hold_more_than_the_days_that_are_kept_back():
    """Else nothing would be left to learn from; with another window the length means nothing and may be any."""
    with pytest.raises(ValidationError, match=r"a length above the 21 days that judge_days and .* found 21 days"):
        RetrainSettings(window="sliding", length="21d")

    assert RetrainSettings(length="21d").newest is None

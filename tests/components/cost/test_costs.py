"""Money for seconds."""

import pytest

from components.cost.costs import million_predictions_cost, serving_cost, training_cost


def test_a_training_costs_its_share_of_the_hour():
    """Half an hour at 1.20 an hour costs 0.60."""
    assert training_cost(1_800, 1.20) == pytest.approx(0.60)


def test_requests_cost_the_thread_time_they_took():
    """Two hours of requests at 0.40 an hour."""
    assert serving_cost(7_200, 0.40) == pytest.approx(0.80)


def test_a_million_predictions_cost_the_thread_time_they_take():
    """At 1,000 rows a second a million rows take 1,000 seconds: 0.1111 at 0.40 an hour; twice as fast is half."""
    assert million_predictions_cost(1_000, 0.40) == pytest.approx(1_000 / 3_600 * 0.40)
    assert million_predictions_cost(2_000, 0.40) == pytest.approx(500 / 3_600 * 0.40)


def test_without_a_price_nothing_costs():
    """A price of 0 leaves cost out."""
    assert training_cost(60, 0.0) == million_predictions_cost(500, 0.0) == 0

"""What a model costs in money: once for its training, and again for each million rows it answers.

The currency is whatever the prices of the project file are in; a price of 0 gives a cost of 0. What a call over the
network adds is not in here: only the graph's own time is.
"""

SECONDS_AN_HOUR = 3_600
ROWS_PRICED = 1_000_000


def training_cost(seconds: float, train_hour: float) -> float:
    """Price of a training that took so many seconds.

    Args:
        seconds: Wall seconds of the training process.
        train_hour: Price of one hour of the machine that trains.
    """
    return seconds / SECONDS_AN_HOUR * train_hour


def serving_cost(seconds: float, serve_hour: float) -> float:
    """Price of the requests that took threads so many seconds in all; what a thread waits for requests is not in it.

    Args:
        seconds: Latencies of the requests, added up: reading them and running the graph, which occupies a thread.
        serve_hour: Price of one hour of one thread that answers requests.
    """
    return seconds / SECONDS_AN_HOUR * serve_hour


def million_predictions_cost(rows_per_second: float, serve_hour: float) -> float:
    """Price of a million rows answered by one thread that is never idle.

    Args:
        rows_per_second: Rows a second of the graph on one thread; more than 0.
        serve_hour: Price of one hour of one thread that answers requests.
    """
    return ROWS_PRICED / rows_per_second / SECONDS_AN_HOUR * serve_hour

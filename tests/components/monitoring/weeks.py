"""Made-up weeks of traffic, policies and histories for the tests of deciding."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from components.monitoring.deciding import decide
from components.records.watching import Decision, History, Retraining, Window, WindowFacts
from components.settings.monitoring import MonitoringSettings

START = datetime(2013, 5, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


def policy(**monitoring) -> MonitoringSettings:
    """Two of three windows, 1,000 rows, 30 % of the columns or 0.03 of the metric, two weeks of rest."""
    return MonitoringSettings.model_validate({"window": "7d", "cooldown": "14d", **monitoring})


def history(facts: Sequence[WindowFacts], retrainings: Sequence[Retraining] = (), metric: str = "roc_auc") -> History:
    """What `decide` looks at."""
    return History("flights", metric, tuple(facts), tuple(retrainings))


def week(number: int, **facts) -> WindowFacts:
    """A calm week with all its labels."""
    window = Window(START + number * WEEK, START + (number + 1) * WEEK)
    calm = WindowFacts(window, 1, 6_000, 5_000, ("temp",), 0.1, False, (), 0.70, 0.70)
    return replace(calm, **facts)


def drifted(number: int, **facts) -> WindowFacts:
    """A week in which 4 of 10 columns drifted."""
    found = {"drift_share": 0.4, "drifted_columns": ("temp", "dewp", "humid", "visib"), **facts}
    return week(number, **found)


def retrained(number: int, **facts) -> Retraining:
    """A retraining that this week asked for."""
    return Retraining(f"decision-{number}", week(number).window, **{"outcome": "promote", **facts})


def replay(facts: Sequence[WindowFacts], rules: MonitoringSettings) -> list[Decision]:
    """All decisions on a history, each made with what was known at its time."""
    decisions: list[Decision] = []
    for number in range(len(facts)):
        decisions.append(decide(history(facts[: number + 1], asked(decisions)), rules))
    return decisions


def asked(decisions: Sequence[Decision]) -> list[Retraining]:
    """The retrainings that these decisions asked for."""
    return [Retraining(each.id, each.window) for each in decisions if each.verdict == "retrain"]

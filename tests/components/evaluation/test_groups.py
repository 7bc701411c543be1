"""Gaps between groups: worked out by hand on rows whose groups are treated differently on purpose."""

import numpy as np
import polars
import pytest

from components.errors import SchemaMismatch
from components.evaluation.groups import group_gaps
from components.evaluation.predicting import Outputs
from components.settings.evaluation import EvaluationSettings

SETTINGS = EvaluationSettings(metric="accuracy", groups=("origin",), slice_rows=10)


def frame(*sizes):
    """As many rows of each origin, in a row."""
    return polars.DataFrame({"origin": np.repeat(["EWR", "JFK", "LGA"][: len(sizes)], sizes)})


def test_gaps_of_a_binary_target_are_those_worked_out_by_hand():
    """EWR: 10 of 20 true, 8 of them caught, 1 false alarm; JFK: 5 of 20 true, 2 of them caught, 6 false alarms."""
    truth = np.array([1] * 10 + [0] * 10 + [1] * 5 + [0] * 15)
    told = np.array([1] * 8 + [0] * 2 + [1] + [0] * 9 + [1] * 2 + [0] * 3 + [1] * 6 + [0] * 9)

    found = group_gaps(frame(20, 20), truth, Outputs(told, told.astype(float)), "binary", SETTINGS)

    assert found["origin"] == pytest.approx(
        {
            "accuracy_difference": 17 / 20 - 11 / 20,
            "demographic_parity_difference": 9 / 20 - 8 / 20,
            "true_positive_rate_difference": 8 / 10 - 2 / 5,
            "false_positive_rate_difference": 6 / 15 - 1 / 10,
            "equalized_odds_difference": 8 / 10 - 2 / 5,
        }
    )


def test_the_gap_is_between_the_two_groups_that_differ_most():
    """Of accuracies 1, 0.75 and 0.5 the gap is 0.5."""
    truth = np.ones(60, int)
    told = np.array([1] * 20 + [1] * 15 + [0] * 5 + [1] * 10 + [0] * 10)

    found = group_gaps(frame(20, 20, 20), truth, Outputs(told, told.astype(float)), "binary", SETTINGS)

    assert found["origin"]["accuracy_difference"] == 0.5
    assert "false_positive_rate_difference" not in found["origin"], "no row is 0, so no group has such a rate"
    assert found["origin"]["equalized_odds_difference"] == 0.5


def test_a_model_that_treats_all_alike_has_no_gaps():
    """Every gap is 0."""
    truth, told = np.array([1, 0] * 20), np.array([1, 0, 0, 1] * 10)

    found = group_gaps(frame(20, 20), truth, Outputs(told, told.astype(float)), "binary", SETTINGS)

    assert set(found["origin"].values()) == {0.0}


def test_other_kinds_have_the_metric_and_the_mean_error():
    """A multiclass target's mean error is its error rate; a regression's says who is told too much."""
    classes = np.array([0, 1, 2, 0] * 10)
    wrong = np.where(np.arange(40) < 5, (classes + 1) % 3, classes)
    values = np.linspace(0, 10, 40)
    shifted = values + np.where(np.arange(40) < 20, 2.0, -1.0)
    of_mae = SETTINGS.model_copy(update={"metric": "mae"})

    found = group_gaps(frame(20, 20), classes, Outputs(wrong, np.eye(3)[wrong]), "multiclass", SETTINGS)
    of_values = group_gaps(frame(20, 20), values, Outputs(shifted, None), "regression", of_mae)

    assert found["origin"] == pytest.approx({"accuracy_difference": 0.25, "error_rate_difference": 0.25})
    assert of_values["origin"] == pytest.approx({"mae_difference": 1.0, "mean_error_difference": 3.0})


def test_one_group_alone_has_no_gap():
    """A group below `slice_rows` does not count, and without a second one nothing is said."""
    told = np.ones(25, int)

    found = group_gaps(frame(20, 5), told, Outputs(told, told.astype(float)), "binary", SETTINGS)

    assert found == {"origin": {}}


def test_a_group_column_that_is_not_there_is_named():
    """A misspelt group is told, not skipped."""
    settings = SETTINGS.model_copy(update={"groups": ("orign",)})

    with pytest.raises(SchemaMismatch, match=r"evaluation.groups name \['orign'\]"):
        group_gaps(frame(20), np.ones(20), Outputs(np.ones(20), None), "binary", settings)

"""Labels as numbers, and what is no label."""

import polars
import pytest

from components.errors import SchemaMismatch
from components.evaluation.truths import true_answers
from tests.components.evaluation.tiny import BINARY, CLASSES


def test_rows_without_a_label_are_refused():
    """An empty label is not a 0."""
    frame = polars.DataFrame({"late": [True, None, False]})

    with pytest.raises(SchemaMismatch, match="1 of 3 rows have none"):
        true_answers(frame, BINARY)


def test_a_class_that_nobody_knows_is_refused():
    """A label outside the known classes is named."""
    frame = polars.DataFrame({"weather": ["dry", "hail"]})

    with pytest.raises(SchemaMismatch, match=r"one of dry, rain, snow, but 1 of 2 rows do not \(such as 'hail'\)"):
        true_answers(frame, CLASSES)

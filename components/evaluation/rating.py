"""How good each variant of a model is on the validation rows, in the metric that decides: for choosing among them.

The scorecard of the chosen one is made later, on rows that no choice was made on.
"""

import logging
import math
from collections.abc import Sequence

import numpy as np
import polars

from components.errors import ModelRefused, NotEnoughRows, TableMismatch
from components.evaluation.metrics import measure, metric_named
from components.evaluation.predicting import Array, Outputs, predict
from components.evaluation.truths import true_answers
from components.records.models import Variant
from components.records.rows import Part
from components.settings.evaluation import EvaluationSettings

log = logging.getLogger(__name__)


def rate(variants: Sequence[Variant], part: Part, settings: EvaluationSettings) -> dict[str, float]:
    """The deciding metric of each variant on the part's rows, by the variant's name, in their order.

    It is NaN, with a warning, where the metric is not defined on the rows, where a graph fails, and for a variant
    without a footprint: what ended its process would end this one too.

    Args:
        variants: Measured variants. One of onnxruntime is asked here; the answers of another engine are read from its
            `answers`.
        part: The validation rows.
        settings: Names the metric.

    Raises:
        ProjectFileError: If the metric does not exist for this kind of target.
        SchemaMismatch: If a feature or the target is missing.
        TableMismatch: If a variant's answers were given to other rows.
    """
    if not variants:
        return {}
    schema = variants[0].schema
    metric = metric_named(settings.metric, schema.target_kind)
    frame = polars.read_parquet(part.path)
    truth = true_answers(frame, schema)
    return {variant.name: _quality(metric.name, variant, truth, frame) for variant in variants}


def _quality(metric: str, variant: Variant, truth: Array, frame: polars.DataFrame) -> float:
    if variant.footprint is None:
        log.warning("variant not rated name=%s reason=it was not measured", variant.name)
        return math.nan
    try:
        outputs = _outputs(variant, frame)
        return measure(metric, truth, outputs.prediction, outputs.probability)
    except (NotEnoughRows, ModelRefused) as err:
        log.warning("variant not rated name=%s reason=%s", variant.name, err)
        return math.nan


def _outputs(variant: Variant, frame: polars.DataFrame) -> Outputs:
    """The variant's answers to the rows: from the graph, or from the file that its own engine left."""
    if variant.engine == "onnxruntime":
        return predict(variant.path, frame, variant.schema)
    if variant.answers is None:
        raise ModelRefused(
            f"the variant {variant.name} runs in {variant.engine}, so its answers must lie in a file, but there is "
            "none; measure it again"
        )
    answers = polars.read_parquet(variant.answers)
    if answers.height != frame.height:
        raise TableMismatch(
            f"{variant.answers} must answer the {frame.height:,} rows that all variants are rated on, but holds "
            f"{answers.height:,} answers; measure the variants on those rows"
        )
    kind = variant.schema.target_kind
    name = "probabilities" if kind == "multiclass" else "probability"
    prediction = answers["prediction"].to_numpy().astype(np.float64 if kind == "regression" else np.int64)
    return Outputs(prediction, answers[name].to_numpy().astype(np.float64) if name in answers.columns else None)

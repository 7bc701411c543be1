"""Which variant becomes the version's model: the best of those within the budget, by what the project prefers.

A pure choice among measured and rated variants: nothing is built, run or measured here.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args

from components.errors import BudgetMissed
from components.optimization.pareto import missed_table, pareto_front, write_table
from components.optimization.picture import draw_variants
from components.records.models import FittedModel, RatedVariant, Variant, Workshop
from components.settings.optimization import BudgetSettings, OptimizationSettings, VariantName

log = logging.getLogger(__name__)

# The simplest first, as the settings list them: what others are compared with, and what a tie goes to.
SIMPLEST = "fp32"
ORDER: tuple[str, ...] = get_args(VariantName)
# Six measurements of one graph differed by 3 % on a quiet machine and by up to 14 % on a busy one: less is no gain.
WORTH_A_CHANGE = 1.1
# Digits of the metric that count when quality is preferred: what differs less is noise of the arithmetic.
DIGITS = 5


def choose(
    variants: Sequence[Variant],
    qualities: Mapping[str, float],
    left_out: Mapping[str, str],
    fitted: FittedModel,
    settings: OptimizationSettings,
    folder: Path,
    *,
    metric: str,
    lower_is_better: bool,
) -> Workshop:
    """All variants with what they missed of the budget, and the one that is the model.

    Never chosen are a variant over the quality budget, one whose quality or footprint is not known, and one of
    OpenVINO's engine. With `prefer: speed` a variant takes a simpler one's place if it answers a tenth more rows a
    second; with `size` the smallest file wins; with `quality` the best metric, then the fastest.

    Args:
        variants: What was built, measured.
        qualities: Variant name to the deciding metric on the validation rows; NaN where it is not defined.
        left_out: Variant name to the reason why it could not be built.
        fitted: The trained network, for the memory that training took.
        settings: The budget, and what is preferred.
        folder: Where `variants.md` and `variants.png` go; made if it is not there.
        metric: Name of the deciding metric.
        lower_is_better: Its direction.

    Raises:
        BudgetMissed: If none is within the budget; the table and the picture are there all the same.
    """
    rated = tuple(_rated(variants, qualities, settings.budget, metric, lower_is_better=lower_is_better))
    chosen = _preferred([entry for entry in rated if not entry.misses], settings.prefer)
    name = chosen.variant.name if chosen else None
    folder.mkdir(parents=True, exist_ok=True)
    front = pareto_front(rated)
    table = write_table(folder / "variants.md", rated, left_out, front, name, settings, metric)
    picture = draw_variants(folder / "variants.png", rated, front, name, settings, metric)
    if chosen is None:
        raise BudgetMissed(
            "one variant must be within optimization.budget to become the model, but none is:\n"
            f"{missed_table(rated, left_out)}\n"
            f"widen the limit that is missed by least, or train a smaller network; all measurements: {table}"
        )
    facts = (name, len(rated), settings.prefer, chosen.quality_loss)
    log.info("variant chosen name=%s of=%d prefer=%s quality_loss=%.2g", *facts)
    return Workshop(rated, dict(left_out), chosen.variant, table, picture, _memory_ratio(fitted, chosen.variant))


def _rated(
    variants: Sequence[Variant],
    qualities: Mapping[str, float],
    budget: BudgetSettings,
    metric: str,
    *,
    lower_is_better: bool,
) -> Iterator[RatedVariant]:
    full = qualities.get(SIMPLEST, math.nan)
    for variant in variants:
        quality = qualities.get(variant.name, math.nan)
        loss = quality - full if lower_is_better else full - quality
        # fp32 loses nothing to itself, also where the metric is not defined: then it alone can be chosen.
        loss = 0.0 if variant.name == SIMPLEST else loss
        yield RatedVariant(variant, quality, loss, tuple(_misses(variant, quality, loss, budget, metric)))


def _misses(variant: Variant, quality: float, loss: float, budget: BudgetSettings, metric: str) -> Iterator[str]:
    """One sentence for each reason why the variant cannot be chosen, with the numbers."""
    if variant.engine == "openvino":
        yield "OpenVINO's engine is measured, never served"
    if math.isnan(loss):
        yield f"its {metric} on the validation rows, or that of {SIMPLEST}, is not known"
    elif loss > budget.max_quality_loss:
        over = loss - budget.max_quality_loss
        yield (
            f"{metric} {quality:.5f} is {loss:.5f} worse than that of {SIMPLEST}, "
            f"{over:.5f} over max_quality_loss {budget.max_quality_loss:g}"
        )
    if variant.megabytes > budget.max_mb:
        over = variant.megabytes - budget.max_mb
        yield f"{variant.megabytes:.3g} MB, {over:.3g} MB over max_mb {budget.max_mb:g}"
    yield from _slow(variant, budget)


def _slow(variant: Variant, budget: BudgetSettings) -> Iterator[str]:
    footprint = variant.footprint
    if footprint is None:
        yield "it could not be measured: its process died"
        return
    p99, speed = footprint.at(1).p99_ms, footprint.rows_per_second
    if budget.p99_ms is not None and p99 > budget.p99_ms:
        yield f"p99 of one row {p99:.3g} ms, {p99 - budget.p99_ms:.3g} ms over p99_ms {budget.p99_ms:g}"
    if budget.rows_per_second is not None and speed < budget.rows_per_second:
        under = budget.rows_per_second - speed
        yield f"{speed:,.0f} rows a second, {under:,.0f} under rows_per_second {budget.rows_per_second:,.0f}"


def _preferred(fitting: Sequence[RatedVariant], prefer: str) -> RatedVariant | None:
    """The best of those that may be chosen; a tie goes to the simpler."""
    if not fitting:
        return None
    by_simplicity = sorted(fitting, key=_complexity)
    if prefer == "size":
        return min(by_simplicity, key=lambda entry: entry.variant.megabytes)
    if prefer == "quality":
        return min(by_simplicity, key=lambda entry: (round(entry.quality_loss, DIGITS), -_speed(entry)))
    best, *others = by_simplicity
    for entry in others:
        best = entry if _speed(entry) >= WORTH_A_CHANGE * _speed(best) else best
    return best


def _complexity(entry: RatedVariant) -> int:
    """Place among the names that the settings know, the simplest first; others behind them."""
    return ORDER.index(entry.variant.name) if entry.variant.name in ORDER else len(ORDER)


def _speed(entry: RatedVariant) -> float:
    assert entry.variant.footprint is not None
    return entry.variant.footprint.rows_per_second


def _memory_ratio(fitted: FittedModel, chosen: Variant) -> float | None:
    if fitted.peak_mb is None or chosen.footprint is None:
        return None
    return fitted.peak_mb / chosen.footprint.peak_mb

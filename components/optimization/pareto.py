"""The variants of one model side by side, as a table: what each costs, and which of them no other beats."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from components.records.models import Footprint, RatedVariant
from components.settings.optimization import OptimizationSettings

# Rows a call whose latencies have a column.
SIZES = (1, 32, 1_024)


def pareto_front(rated: Sequence[RatedVariant]) -> frozenset[str]:
    """Names of the variants that no other beats: none is as good in loss, speed and size, and better in one."""
    points = {name: values for entry in rated for name, values in [(entry.variant.name, values_of(entry))] if values}
    return frozenset(
        name
        for name, mine in points.items()
        if not any(
            theirs != mine and all(their <= my for their, my in zip(theirs, mine, strict=True))
            for theirs in points.values()
        )
    )


def values_of(entry: RatedVariant) -> tuple[float, float, float] | None:
    """Loss, seconds a row and size, of each of which less is better; None if one is not known."""
    if entry.variant.footprint is None or math.isnan(entry.quality_loss):
        return None
    return entry.quality_loss, 1 / entry.variant.footprint.rows_per_second, entry.variant.megabytes


def write_table(
    path: Path,
    rated: Sequence[RatedVariant],
    left_out: Mapping[str, str],
    front: frozenset[str],
    chosen: str | None,
    settings: OptimizationSettings,
    metric: str,
) -> Path:
    """The Markdown file: every variant with all that was measured, then what they missed and what was not built."""
    heads = ["variant", metric, "loss", "largest difference"]
    heads += [f"p50 / p99 of {rows:,} row{'s' if rows > 1 else ''} [ms]" for rows in SIZES]
    heads += ["rows a second", "cold load [ms]", "peak memory [MB]", "file [MB]", "Pareto", "chosen"]
    lines = [f"# {headline(rated, chosen, settings, metric)}", "", _row(heads), _row(["---"] * len(heads))]
    for entry in rated:
        name, variant = entry.variant.name, entry.variant
        cells = [f"`{name}`", _number(entry.quality, ".5f"), _number(entry.quality_loss, "+z.5f")]
        cells.append(f"{variant.max_difference:.2g}")
        cells += [*_costs(variant.footprint), f"{variant.megabytes:.3f}"]
        lines.append(_row([*cells, "yes" if name in front else "no", "**yes**" if name == chosen else "no"]))
    missed = {entry.variant.name: "; ".join(entry.misses) for entry in rated if entry.misses}
    for title, reasons in (("Cannot be chosen", missed), ("Not built here", left_out)):
        lines += ["", f"{title}:", "", *(f"- `{name}`: {why}" for name, why in reasons.items())] if reasons else []
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path


def _number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _costs(footprint: Footprint | None) -> list[str]:
    """What was measured, as cells; dashes for a variant whose process died."""
    if footprint is None:
        return ["-"] * (len(SIZES) + 3)
    latencies = [footprint.at(rows) for rows in SIZES]
    cells = [f"{latency.p50_ms:.3f} / {latency.p99_ms:.3f}" for latency in latencies]
    return [*cells, f"{footprint.rows_per_second:,.0f}", f"{footprint.load_ms:.0f}", f"{footprint.peak_mb:.0f}"]


def headline(rated: Sequence[RatedVariant], chosen: str | None, settings: OptimizationSettings, metric: str) -> str:
    """What came of the choice, as one line."""
    entries = {entry.variant.name: entry for entry in rated}
    if chosen is None:
        return "None of the variants is within the budget"
    mine, full = entries[chosen], entries.get("fp32")
    if full is None or full.variant.footprint is None or chosen == "fp32":
        return f"{chosen} is the model: preferred for {settings.prefer} among those within the budget"
    assert mine.variant.footprint is not None
    times = mine.variant.footprint.rows_per_second / full.variant.footprint.rows_per_second
    return f"{chosen} is the model: {times:.1f} x the rows a second of fp32, {metric} {_change(mine.quality_loss)}"


def _change(loss: float) -> str:
    return f"{abs(loss):.4f} {'worse' if loss > 0 else 'better'}"


def missed_table(rated: Sequence[RatedVariant], left_out: Mapping[str, str]) -> str:
    """Each variant and by how much it missed which limit, as lines of text."""
    missed = {entry.variant.name: list(entry.misses) for entry in rated}
    missed |= {name: [f"not built here: {reason}"] for name, reason in left_out.items()}
    width = max(map(len, missed), default=0)
    return "\n".join(
        f"  {name if place == 0 else '':<{width}}  {sentence}"
        for name, sentences in missed.items()
        for place, sentence in enumerate(sentences)
    )

"""The demo's figures: what the loop was worth, against the first model left alone."""

import json
import statistics
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from components.data.compaction import compact
from components.data.decisions import DecisionEntry
from components.data.windows import counts, read_window
from components.errors import NotEnoughRows
from components.evaluation.metrics import measure
from components.evaluation.predicting import predict
from components.records.models import ModelFiles
from components.records.watching import Window
from components.registry import fetching, tracking, versions
from components.settings.environment import Environment
from components.settings.project import Project
from flows.demo.application import Traffic

# The months are those of the airports: the evening of 31 December in New York is 1 January in UTC.
LOCAL = "America/New_York"


@dataclass(frozen=True)
class Scored:
    """The loop's and the first model's quality on one stretch of time; None where labels are too few."""

    name: str
    loop: float | None
    static: float | None
    rows: int


@dataclass(frozen=True)
class Figures:
    """All that the summary and the page are made of."""

    summary: dict[str, Any]
    months: list[Scored]
    windows: list[Scored]
    entries: list[DecisionEntry]


def figures(
    project: Project,
    environment: Environment,
    *,
    windows: list[Window],
    entries: list[DecisionEntry],
    traffic: Traffic,
    window_ended: dict[str, float],
    begun: float,
) -> Figures:
    """The figures of a replay that has ended.

    Args:
        project: The project.
        environment: Where its ledger and registry are.
        windows: The windows, in order.
        entries: The decision of each window and what came of it.
        traffic: What the application sent.
        window_ended: When each window ended, seconds since the epoch, by the window's name.
        begun: When the demo began, seconds since the epoch.
    """
    tracking.connect(environment)
    first = fetching.fetch(versions.version(project.name, 1), environment.cache())
    ledger = environment.ledger(project.name)
    compact(ledger, first.schema)
    frame = _scored_rows(project, ledger, windows, first)
    months = _by_month(frame, project)
    facts = {
        "requests": traffic.requests,
        "failed_requests": traffic.failed_requests,
        "failures": traffic.failures[:10],
        "rows_sent": traffic.rows_sent,
        **_logged(ledger),
        "windows": len(windows),
        "reports": sum(bool(entry.decision.facts.report) for entry in entries),
        "decisions": [_decision(entry) for entry in entries],
        **_retrainings(entries),
        "auc_static": _mean([month.static for month in months]),
        "auc_loop": _mean([month.loop for month in months]),
        "months": {month.name: {"loop": month.loop, "static": month.static, "rows": month.rows} for month in months},
        "versions": _versions(project, frame),
        **_drift_to_live(entries, traffic, window_ended),
        "request_ms": _latency(traffic),
        "wall_seconds": round(time.time() - begun, 1),
    }
    return Figures(facts, months, _by_window(frame, project, windows), entries)


def made_versions(project: Project, environment: Environment) -> dict[int, ModelFiles]:
    """The files of every version that was made, by its number."""
    tracking.connect(environment)
    found = versions.versions(project.name)
    return {version.version: fetching.fetch(version, environment.cache()) for version in found}


def write_summary(found: Figures, output: Path) -> Path:
    """`summary.json` in the output folder."""
    path = output / "summary.json"
    path.write_text(json.dumps(found.summary, indent=2, ensure_ascii=False) + "\n")
    return path


def _scored_rows(project: Project, ledger: Path, windows: list[Window], first: ModelFiles) -> pl.DataFrame:
    """Every prediction with its label where there is one, and beside it what the first model would have said."""
    frame = read_window(ledger, Window(windows[0].start, windows[-1].end), schema=first.schema)
    static = predict(first.graph, frame, first.schema)
    return frame.with_columns(pl.Series("static", static.probability), pl.Series("static_class", static.prediction))


def _by_month(frame: pl.DataFrame, project: Project) -> list[Scored]:
    local = pl.col(project.data.timestamp).dt.convert_time_zone(LOCAL).dt.strftime("%Y-%m")
    parts = frame.with_columns(local.alias("month")).partition_by("month", as_dict=True)
    named = {str(key[0]): part for key, part in parts.items()}
    # The first hours of May in UTC are still April in New York: a handful of flights is no month.
    return [_score(month, part, project) for month, part in sorted(named.items()) if part.height >= 1000]


def _by_window(frame: pl.DataFrame, project: Project, windows: list[Window]) -> list[Scored]:
    moment = pl.col(project.data.timestamp)
    return [
        _score(str(window), frame.filter((moment >= window.start) & (moment < window.end)), project)
        for window in windows
    ]


def _score(name: str, part: pl.DataFrame, project: Project) -> Scored:
    labelled = part.drop_nulls("label")
    return Scored(
        name=name,
        loop=_quality(labelled, "prediction", "probability", project),
        static=_quality(labelled, "static_class", "static", project),
        rows=labelled.height,
    )


def _quality(labelled: pl.DataFrame, prediction: str, probability: str, project: Project) -> float | None:
    truth = labelled["label"].cast(pl.Int64).to_numpy()
    try:
        value = measure(
            project.evaluation.metric, truth, labelled[prediction].to_numpy(), labelled[probability].to_numpy()
        )
    except NotEnoughRows:
        return None
    return round(float(value), 4)


def _logged(ledger: Path) -> dict[str, int]:
    found = counts(ledger)
    return {"predictions_logged": found["predictions"], "labels_joined": found["joined"]}


def _decision(entry: DecisionEntry) -> dict[str, Any]:
    decision = entry.decision
    return {
        "window": str(decision.window),
        "verdict": decision.verdict,
        "reason": decision.reason,
        "drift_share": decision.facts.drift_share,
        "quality": decision.facts.quality,
        "version": decision.version,
        "outcome": entry.outcome,
        "outcome_detail": entry.detail,
        "candidate_version": entry.candidate_version,
    }


def _retrainings(entries: list[DecisionEntry]) -> dict[str, int]:
    outcomes = [entry.outcome for entry in entries if entry.decision.verdict == "retrain"]
    promotions = outcomes.count("promote")
    return {
        "retrainings": len(outcomes),
        "promotions": promotions,
        "rejections": outcomes.count("reject"),
        "inconclusive": outcomes.count("inconclusive"),
    }


def _versions(project: Project, frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Each version that answered: from when to when (event time), and how many rows."""
    moment = project.data.timestamp
    spans = frame.group_by("version").agg(
        pl.col(moment).min().alias("from"), pl.col(moment).max().alias("to"), pl.len().alias("rows")
    )
    return [
        {"version": row["version"], "from": _day(row["from"]), "to": _day(row["to"]), "rows": row["rows"]}
        for row in spans.sort("version").to_dicts()
    ]


def _drift_to_live(
    entries: list[DecisionEntry], traffic: Traffic, window_ended: dict[str, float]
) -> dict[str, float | list[float] | None]:
    """Wall seconds from the end of the window that showed the drift to the first answer of the new version."""
    each = [
        round(traffic.first_answers[entry.candidate_version] - window_ended[str(entry.decision.window)], 1)
        for entry in entries
        if entry.outcome == "promote" and entry.candidate_version in traffic.first_answers
    ]
    return {
        "drift_to_live_seconds": round(statistics.median(each), 1) if each else None,
        "drift_to_live_seconds_each": each,
    }


def _latency(traffic: Traffic) -> dict[str, float]:
    p50, p99 = np.percentile(np.array(traffic.seconds) * 1000, [50, 99]) if traffic.seconds else (0.0, 0.0)
    return {"p50": round(float(p50), 2), "p99": round(float(p99), 2)}


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.fmean(known), 4) if known else None


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"

"""What the registry says of a version that answers, for `GET /model`: its verdict and its scorecard, in short.

It is kept beside the version's files in the cache, so that a service can tell it while the registry is down. MLflow is
imported only to ask.
"""

import json
import os
from pathlib import Path
from typing import Any

from components.records.models import ModelVersion

STANDING = "standing.json"


def read_standing(folder: Path) -> dict[str, Any]:
    """What is known of the version whose files stand in this folder.

    Returns:
        `verdict` and `scorecard`; each is None if nothing is known.
    """
    unknown: dict[str, Any] = {"verdict": None, "scorecard": None}
    try:
        known = json.loads((folder / STANDING).read_text())
    except (OSError, ValueError):
        return unknown
    return unknown | known if isinstance(known, dict) else unknown


def note_standing(version: ModelVersion, cache: Path) -> None:
    """Ask the registry about a version that stands in the cache, and keep the answer beside it.

    Raises:
        PassingFault: If the registry cannot be reached.
        OSError: If it cannot be kept.
    """
    # Takes longer to import than all the rest of a service: see the top of the file.
    import mlflow  # noqa: PLC0415
    from mlflow import MlflowClient  # noqa: PLC0415

    from components.registry.tracking import reachable, reaching  # noqa: PLC0415
    from components.registry.versions import VERDICT  # noqa: PLC0415

    with reaching(f"verdict and scorecard of version {version.version} of {version.name}"):
        client = MlflowClient()
        folder = reachable(client.get_run(version.run_id).info.artifact_uri)
        there = {Path(file.path).name for file in mlflow.artifacts.list_artifacts(artifact_uri=folder)}
        verdict, scorecard = (
            mlflow.artifacts.load_dict(f"{folder}/{name}") if name in there else None
            for name in (VERDICT, "scorecard.json")
        )
        tags = client.get_model_version(version.name, str(version.version)).tags
    known = {
        "verdict": _verdict(verdict, tags) if verdict else None,
        "scorecard": _scorecard(scorecard, verdict) if scorecard else None,
    }
    file = cache / version.name / str(version.version) / STANDING
    unfinished = file.with_name(f".{STANDING}.{os.getpid()}")
    unfinished.write_text(json.dumps(known, ensure_ascii=False))
    unfinished.replace(file)


def _verdict(verdict: dict[str, Any], tags: dict[str, str]) -> dict[str, Any]:
    told = {name: verdict[name] for name in ("outcome", "reason", "metric", "candidate", "champion", "rows")}
    rules = [{name: rule[name] for name in ("name", "passed", "detail")} for rule in verdict["rules"]]
    return told | {"promoted_at": tags.get("promoted_at"), "rules": rules}


def _scorecard(scorecard: dict[str, Any], verdict: dict[str, Any] | None) -> dict[str, Any]:
    """The metric that decided, or else the first one with an interval, and what it rests on."""
    metrics, intervals = scorecard["metrics"], scorecard["intervals"]
    metric = verdict["metric"] if verdict else next(iter(intervals), next(iter(metrics), None))
    low, high = intervals.get(metric) or (None, None)
    behaviours = scorecard["behaviours"]
    return {
        "metric": metric,
        "value": metrics.get(metric),
        "low": low,
        "high": high,
        "rows": scorecard["rows"],
        "metrics": metrics,
        "margins": scorecard["margins"],
        "behaviours_passed": sum(rule["passed"] for rule in behaviours),
        "behaviours": len(behaviours),
    }

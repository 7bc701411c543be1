"""A version's files where they stand on this machine already, checked at each use; nothing of MLflow is needed.

The cache holds `<name>/<version>/` with what `components.registry.fetching` put there, and `<name>/champion.json` with
the version that last took over, so that a service starts before MLflow is imported, and while the registry is down.
"""

import json
import logging
import tempfile
from dataclasses import asdict
from pathlib import Path

from components.records.models import ModelFiles, ModelVersion
from components.records.rows import Schema
from components.registry.packing import GRAPH, REFERENCE, SCHEMA, Manifest, check_files, read_manifest

log = logging.getLogger(__name__)


def open_version(folder: Path, version: ModelVersion) -> ModelFiles | None:
    """The files in a folder, checked; None if they are whole, but another version's (of a registry that was reset).

    Raises:
        ModelRefused: If a file is missing, was changed, or can run code when loaded.
    """
    manifest = _checked(folder)
    if (manifest.name, manifest.files[GRAPH]) != (version.name, version.sha256):
        return None
    return _files(folder, manifest, version)


def open_cached(name: str, number: int, cache: Path) -> ModelFiles:
    """The files of a version that stand in the cache, whatever the registry says of it now; its run is not known.

    Raises:
        ModelRefused: If they are not there, or a file is missing, was changed, or can run code when loaded.
    """
    folder = cache / name / str(number)
    manifest = _checked(folder)
    return _files(folder, manifest, ModelVersion(name, number, run_id="", sha256=manifest.files[GRAPH]))


def remember_champion(version: ModelVersion, cache: Path) -> None:
    """Note in the cache which version took over last."""
    folder = cache / version.name
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix=".champion-", delete=False) as file:
        json.dump(asdict(version), file)
    Path(file.name).replace(folder / "champion.json")


def last_champion(name: str, cache: Path) -> ModelVersion | None:
    """The version that took over last, as the cache knows it; None if it knows of none."""
    file = cache / name / "champion.json"
    try:
        return ModelVersion(**json.loads(file.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as err:
        log.warning("last champion not readable file=%s error=%s; it is noted anew at the next take-over", file, err)
        return None


def _checked(folder: Path) -> Manifest:
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    return manifest


def _files(folder: Path, manifest: Manifest, version: ModelVersion) -> ModelFiles:
    return ModelFiles(
        version=version,
        graph=folder / GRAPH,
        schema=Schema.from_json((folder / SCHEMA).read_text()),
        reference=folder / REFERENCE,
        metrics=manifest.metrics,
        config_sha256=manifest.config_sha256,
    )

"""A version's files on this machine: downloaded once, checked at each use, there when MLflow is not.

The cache holds `<name>/<version>/` with graph, schema, reference and manifest.
"""

import logging
import shutil
import tempfile
import time
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from components.errors import ModelNotFound, ModelRefused
from components.records.models import ModelFiles, ModelVersion
from components.registry.opening import open_version
from components.registry.packing import (
    GRAPH,
    MANIFEST,
    PACKED,
    file_sha256,
    refused_files,
)
from components.registry.tracking import address, is_absent, reachable, reaching

log = logging.getLogger(__name__)

# A download that was killed leaves its folder behind; none takes this long.
ABANDONED_SECONDS = 3600.0


def fetch(version: ModelVersion, cache: Path) -> ModelFiles:
    """The version's files: from the cache if they are there, else downloaded into it once.

    Several processes may do this at the same time: each downloads into a folder of its own, the first puts it in place.

    Args:
        version: Which version.
        cache: Folder of downloaded versions.

    Raises:
        ModelRefused: If a file is not the one that was registered, or can run code when loaded.
        PassingFault: If it is not in the cache and the registry cannot be reached.
        ModelNotFound: If the registry has no such version any more.
    """
    folder = cache / version.name / str(version.version)
    if folder.is_dir():
        files = open_version(folder, version)
        if files is not None:
            return files
        log.warning("cached version is another one's folder=%s wanted=%s; fetching it again", folder, version.sha256)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder.parent)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder.parent) as scratch:
        packed = _download(version, Path(scratch))
        if open_version(packed, version) is None:
            raise ModelRefused(
                f"wanted {GRAPH} of {version.name} version {version.version} with sha256 {version.sha256}, found "
                f"{file_sha256(packed / GRAPH)} at {address()}; promote another version, and find out who changed it"
            )
        _put(packed, folder, version)
    files = open_version(folder, version)
    assert files is not None, "what was put in place was checked"
    return files


def _download(version: ModelVersion, scratch: Path) -> Path:
    """Folder below `scratch` with the version's graph, schema, reference and manifest, and no other file."""
    with reaching(f"the files of version {version.version} of {version.name}"):
        try:
            client, number = MlflowClient(), str(version.version)
            tags = client.get_model_version(version.name, number).tags
            location = reachable(client.get_model_version_download_uri(version.name, number))
            whole = Path(mlflow.artifacts.download_artifacts(location, dst_path=str(scratch / "whole")))
        except MlflowException as err:
            if not is_absent(err):
                raise
            raise ModelNotFound(
                f"wanted the files of version {version.version} of {version.name} from MLflow at {address()}, found "
                f"none: {err.message}; train again with everfit train"
            ) from err
    for file in refused_files(whole):
        raise ModelRefused(
            f"wanted only ONNX, JSON and Parquet files in version {version.version} of {version.name}, found "
            f"{file.relative_to(whole)}, which can run code when it is loaded; promote another version"
        )
    packed = scratch / "packed"
    packed.mkdir()
    for name in (*PACKED, MANIFEST):
        source = whole / name if name == GRAPH else whole / "extra_files" / name
        if not source.is_file():
            raise ModelRefused(
                f"wanted {name} beside version {version.version} of {version.name}, found no such file at {location}; "
                "promote another version"
            )
        shutil.copyfile(source, packed / name)
    _check_manifest(packed, tags.get("manifest_sha256"))
    return packed


def _check_manifest(folder: Path, wanted: str | None) -> None:
    """The manifest vouches for the other files, so the registry vouches for the manifest."""
    found = file_sha256(folder / MANIFEST)
    if found != wanted:
        raise ModelRefused(
            f"wanted {MANIFEST} with sha256 {wanted}, as the version's tag says, found {found}; promote another "
            "version, and find out who changed it"
        )


def _put(packed: Path, folder: Path, version: ModelVersion) -> None:
    """Move a checked folder into its place in one step; whoever comes second finds it there."""
    try:
        packed.replace(folder)
    except OSError:  # not empty: another process was faster, or it is the one that is to be replaced
        if open_version(folder, version) is not None:
            return
        folder.replace(packed.parent / "outdated")
        packed.replace(folder)
    log.info("version fetched model=%s version=%d folder=%s", version.name, version.version, folder)


def _sweep(folder: Path) -> None:
    """Remove what downloads that were killed left behind."""
    for left in folder.glob(".fetching-*"):
        if left.stat().st_mtime < time.time() - ABANDONED_SECONDS:
            shutil.rmtree(left, ignore_errors=True)

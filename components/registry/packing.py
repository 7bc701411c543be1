"""What a version is made of: the files that travel with the graph, their hashes, and the names they have.

Shared by those who write a version (`registering`) and those who fetch it (`fetching`).
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from components.errors import ModelRefused

GRAPH = "model.onnx"
SCHEMA = "schema.json"
REFERENCE = "reference.parquet"
MANIFEST = "manifest.json"
PACKED = (GRAPH, SCHEMA, REFERENCE)
# What training left, from which another training may begin: kept with the run, since no server needs it.
FITTED_FOLDER = "fitted"
FITTED = ("weights.safetensors", "encoder.json", "model.json", "fitted.json")

# Loading one of these can run whatever code stands in it; a version holds ONNX, JSON and Parquet, and nothing else.
REFUSED_SUFFIXES = {".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib", ".bin", ".dill", ".npy"}


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a version's files must be.

    Attributes:
        name: Name of the registered model.
        files: File name to SHA-256 in hex, for the graph, the schema and the reference.
        metrics: The scorecard's metrics at registration.
        config_sha256: Hash of the project file it was trained with.
        format: Of this file; a reader refuses others.
        fitted: File name to SHA-256 in hex, for what training left; empty if that was not kept.
    """

    name: str
    files: dict[str, str]
    metrics: dict[str, float]
    config_sha256: str
    format: int = 1
    fitted: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """The manifest as JSON."""
        return json.dumps(asdict(self), indent=2, sort_keys=True)


def read_manifest(folder: Path) -> Manifest:
    """The manifest in a version's folder.

    Raises:
        ModelRefused: If it is missing or damaged.
    """
    file = folder / MANIFEST
    try:
        manifest = Manifest(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError) as err:
        raise ModelRefused(
            f"wanted the manifest of a version in {file}, but it cannot be read: {err}; {what_to_do(folder)}"
        ) from err
    if manifest.format != 1 or set(manifest.files) != set(PACKED):
        raise ModelRefused(
            f"wanted a manifest of format 1 for {', '.join(PACKED)} in {file}, found format {manifest.format} for "
            f"{', '.join(sorted(manifest.files))}; {what_to_do(folder)}"
        )
    return manifest


def check_files(folder: Path, manifest: Manifest) -> None:
    """Refuse a version's folder whose files are not those that were registered.

    Raises:
        ModelRefused: If a file is missing, was changed, or is of a kind that can run code when loaded.
    """
    for file in refused_files(folder):
        raise ModelRefused(
            f"wanted only ONNX, JSON and Parquet files, found {file}, which can run code when it is loaded; "
            f"{what_to_do(folder)}"
        )
    for name, wanted in manifest.files.items():
        file = folder / name
        found = file_sha256(file) if file.is_file() else "no file"
        if found != wanted:
            raise ModelRefused(f"wanted {file} with sha256 {wanted}, found {found}; {what_to_do(folder)}")


def refused_files(folder: Path) -> list[Path]:
    """Files of a kind that can run code when it is loaded."""
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in REFUSED_SUFFIXES)


def file_sha256(file: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def what_to_do(folder: Path) -> str:
    """How to get rid of files that are not right."""
    return (
        f"delete {folder} so that the version is fetched again, and find out who changed it; if the fetched one is "
        "refused too, promote another version"
    )

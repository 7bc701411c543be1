"""A version as a folder that runs without Everfit: its graph, a short program, and the two packages that one needs."""

import json
import logging
import shutil
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from pyarrow import parquet

from components.errors import ModelError, ModelRefused
from components.records.models import ModelFiles
from components.registry.packing import GRAPH, file_sha256, what_to_do

log = logging.getLogger(__name__)

TARGETS = {"edge": "any machine with Python, numpy and onnxruntime"}
# The program is copied as it stands: what the tests run is what goes out.
PROGRAM = Path(__file__).with_name("edge_files") / "predict.py"
PACKAGES = ("numpy", "onnxruntime")
EXAMPLE_ROWS = 3


def export(files: ModelFiles, folder: Path, *, target: str = "edge") -> list[Path]:
    """The files of a folder that answers rows on its own: `python predict.py example.json`.

    Args:
        files: The version, as fetched from the registry.
        folder: Where to; made if it is not there.
        target: What kind of machine: one of `TARGETS`.

    Raises:
        ModelError: If there is no such target, or the folder holds something.
        ModelRefused: If the graph is not the one that was registered.
    """
    if target not in TARGETS:
        told = "; ".join(f"{name}: {what}" for name, what in TARGETS.items())
        raise ModelError(f"wanted a target that can be exported to ({told}), found {target!r}; name one of these")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ModelError(f"wanted an empty folder at {folder}, found something there; choose another, or empty it")
    folder.mkdir(parents=True, exist_ok=True)
    graph = _copy_graph(files, folder)
    program = Path(shutil.copyfile(PROGRAM, folder / PROGRAM.name))
    texts = {
        "requirements.txt": "".join(f"{name}=={installed(name)}\n" for name in PACKAGES),
        "example.json": json.dumps(_example(files), indent=2, ensure_ascii=False) + "\n",
        "README.md": _read_me(files),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    log.info("version exported model=%s version=%d folder=%s", files.version.name, files.version.version, folder)
    return [graph, program, *(folder / name for name in texts)]


def _copy_graph(files: ModelFiles, folder: Path) -> Path:
    """The very bytes that were scored and registered."""
    copy = Path(shutil.copyfile(files.graph, folder / GRAPH))
    found = file_sha256(copy)
    if found != files.version.sha256:
        copy.unlink()
        raise ModelRefused(
            f"wanted {files.graph} with sha256 {files.version.sha256}, found {found}; {what_to_do(files.graph.parent)}"
        )
    return copy


def _example(files: ModelFiles) -> list[dict[str, Any]]:
    """The first rows of the sample that travels with the version."""
    names = [column.name for column in files.schema.features]
    rows: list[dict[str, Any]] = parquet.read_table(files.reference, columns=names)[:EXAMPLE_ROWS].to_pylist()
    return rows


def _read_me(files: ModelFiles) -> str:
    version, schema = files.version, files.schema
    columns = "\n".join(f"| {column.name} | {column.kind} |" for column in schema.features)
    return f"""# {version.name}, version {version.version}

Predicts `{schema.target}` ({schema.target_kind}) from raw rows. Missing values, scaling and categories are part of the
model: `{GRAPH}`, sha256 `{version.sha256}`.

    pip install -r requirements.txt
    python predict.py example.json

`predict.py` reads a JSON list of rows from a file, or from standard input, and prints one answer a row. A missing value
is null or left out; a category that training never saw is answered too.

| column | kind |
|---|---|
{columns}
"""

"""Files that are there whole or not at all, whoever reads or is killed meanwhile."""

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """The text under that path, all of it or nothing; an old file is replaced in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)

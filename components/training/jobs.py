"""What the training process is told, as a JSON file: which parts, which settings, where to."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from components.records.rows import Schema, Split
from components.settings.project import TrainingSettings


@dataclass(frozen=True, slots=True)
class Job:
    """One training.

    Attributes:
        train: Parquet file with the rows to learn from.
        validation: Parquet file with the rows to choose on.
        content: Content hashes of the two, in that order.
        schema: What a row looks like.
        settings: The network and how it is fitted.
        folder: Where the model goes.
    """

    train: Path
    validation: Path
    content: tuple[str, str]
    schema: Schema
    settings: TrainingSettings
    folder: Path

    @classmethod
    def of(cls, split: Split, settings: TrainingSettings, folder: Path) -> "Job":
        """The job that fits a model to a split."""
        content = (split.train.sha256, split.validation.sha256)
        return cls(
            split.train.path.resolve(),
            split.validation.path.resolve(),
            content,
            split.schema,
            settings,
            folder.resolve(),
        )

    @property
    def checkpoints(self) -> Path:
        """Folder of this very job's checkpoints: other rows or other settings never go on from them."""
        facts = [self.content, self.schema.to_json(), self.settings.model_dump_json()]
        return self.folder / "checkpoints" / hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]

    def write(self, path: Path) -> None:
        """Write the job as JSON."""
        facts = {
            "train": str(self.train),
            "validation": str(self.validation),
            "content": self.content,
            "schema": json.loads(self.schema.to_json()),
            "settings": self.settings.model_dump(mode="json"),
            "folder": str(self.folder),
        }
        path.write_text(json.dumps(facts, ensure_ascii=False, indent=1), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Job":
        """The job as `write` left it."""
        facts = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            Path(facts["train"]),
            Path(facts["validation"]),
            tuple(facts["content"]),
            Schema.from_json(json.dumps(facts["schema"])),
            TrainingSettings.model_validate(facts["settings"]),
            Path(facts["folder"]),
        )

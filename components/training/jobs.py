"""What the training process is told, as a JSON file: which parts, which settings, which other models, where to."""

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from components.errors import ModelRefused
from components.records.models import FittedModel
from components.records.rows import Schema, Split
from components.settings.base import PluginSettings
from components.settings.project import TrainingSettings


@dataclass(frozen=True, slots=True)
class Job:
    """One training.

    Attributes:
        train: Parquet file with the rows to learn from.
        validation: Parquet file with the rows to choose on.
        content: Hashes of all that is learned from: the two parts, then the weights of `start` and of `teacher`.
        schema: What a row looks like.
        settings: The network and how it is fitted.
        folder: Where the model goes.
        start: Folder of the fitted model whose weights training begins with; None: with chance.
        teacher: Folder of the fitted model whose answers are learned beside the labels; None: labels alone.
        teacher_weight: Weight of the teacher's answer, 0 to 1; the label has the rest.
        half_life: Age at which a training row counts half; None: all count alike.
    """

    train: Path
    validation: Path
    content: tuple[str, ...]
    schema: Schema
    settings: TrainingSettings
    folder: Path
    start: Path | None = None
    teacher: Path | None = None
    teacher_weight: float = 0.0
    half_life: timedelta | None = None

    @classmethod
    def of(
        cls,
        split: Split,
        settings: TrainingSettings,
        folder: Path,
        *,
        start: FittedModel | None = None,
        teacher: FittedModel | None = None,
        teacher_weight: float = 0.0,
        half_life: timedelta | None = None,
    ) -> "Job":
        """The job that fits a model to a split; with a `start`, the network is of that one's class and size.

        Raises:
            ModelRefused: If the files of `start` or `teacher` are missing or broken.
        """
        others = [model.folder.resolve() for model in (start, teacher) if model]
        weights = [hashlib.sha256(_content(other / "weights.safetensors")).hexdigest() for other in others]
        return cls(
            split.train.path.resolve(),
            split.validation.path.resolve(),
            (split.train.sha256, split.validation.sha256, *weights),
            split.schema,
            settings.model_copy(update={"model": network_of(start.folder)}) if start else settings,
            folder.resolve(),
            start.folder.resolve() if start else None,
            teacher.folder.resolve() if teacher else None,
            teacher_weight,
            half_life,
        )

    @property
    def checkpoints(self) -> Path:
        """Folder of this very job's checkpoints: other rows, settings or models never go on from them."""
        others = [str(self.start), str(self.teacher), self.teacher_weight, str(self.half_life)]
        facts = [self.content, self.schema.to_json(), self.settings.model_dump_json(), others]
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
            "start": str(self.start) if self.start else None,
            "teacher": str(self.teacher) if self.teacher else None,
            "teacher_weight": self.teacher_weight,
            "half_life_seconds": self.half_life.total_seconds() if self.half_life else None,
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
            Path(facts["start"]) if facts["start"] else None,
            Path(facts["teacher"]) if facts["teacher"] else None,
            facts["teacher_weight"],
            timedelta(seconds=facts["half_life_seconds"]) if facts["half_life_seconds"] else None,
        )


def network_of(folder: Path) -> PluginSettings:
    """The class and the arguments of the network that was fitted there.

    Raises:
        ModelRefused: If the folder's `model.json` is missing or broken.
    """
    try:
        facts = json.loads(_content(folder / "model.json"))
        return PluginSettings(class_path=facts["class_path"], init_args=facts["init_args"])
    except (ValueError, KeyError, TypeError) as err:
        raise ModelRefused(
            f"{folder}/model.json must name a class and its init_args, but reading it failed: {err!r}; "
            "train that model again"
        ) from err


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        raise ModelRefused(
            f"training wants to begin with, or learn from, the model of {path}, but it cannot be read: "
            f"{err.strerror}; train that model again"
        ) from err

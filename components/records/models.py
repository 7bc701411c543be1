"""What training and the registry make: weights, graphs, versions, and where they come from."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from components.records.rows import Schema


@dataclass(frozen=True, slots=True)
class FittedModel:
    """What training made: weights without pickle, the encoder beside them, and how it went.

    Attributes:
        folder: Holds `weights.safetensors`, `encoder.json`, `model.json` (class path and arguments), `history.json`.
        epochs: Epochs that were run.
        best_epoch: Epoch whose weights were kept, counted from 1.
        validation_loss: Loss on the validation part at that epoch.
        seconds: Wall seconds of the training process.
        parameters: Number of trainable parameters.
        peak_mb: Peak resident memory of the training process in MB (10^6 bytes); None if it was not measured.
    """

    folder: Path
    epochs: int
    best_epoch: int
    validation_loss: float
    seconds: float
    parameters: int
    peak_mb: float | None = None


@dataclass(frozen=True, slots=True)
class Latency:
    """How long one request of so many rows takes in the graph alone, in milliseconds."""

    rows: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a variant costs on this machine, measured in a process of its own on one thread.

    Attributes:
        latencies: For 1, 32 and 1,024 rows a call, in this order.
        rows_per_second: At 1,024 rows a call, from the median processor time: as if the thread had a core to itself.
        load_ms: From the file to a session that has answered once.
        peak_mb: Peak resident memory of the process in MB (10^6 bytes), the runtime included.
    """

    latencies: tuple[Latency, ...]
    rows_per_second: float
    load_ms: float
    peak_mb: float

    def at(self, rows: int) -> Latency:
        """The latency of calls of so many rows; KeyError if it was not measured."""
        return {latency.rows: latency for latency in self.latencies}[rows]


@dataclass(frozen=True, slots=True)
class Variant:
    """One ONNX graph from raw row to prediction, compared with the network it was made from.

    Attributes:
        name: `fp32`, or what was done to it: `fp16`, `int8_dynamic`, `int8_static`, `pruned`, `student`, `openvino`.
        path: The ONNX file.
        sha256: Hash of the file.
        schema: What a row looks like.
        max_difference: Largest absolute difference of an output to the trained PyTorch network, on validation rows.
        megabytes: Size of the file in MB (10^6 bytes).
        engine: What runs it: `onnxruntime`, or `openvino`, which is measured and never served.
        footprint: What it costs on this machine; None until it was measured, or if it could not be.
        answers: Parquet file with its answers to the validation rows, in their order, where another engine than
            onnxruntime gave them; else None, since the graph itself can be asked.
    """

    name: str
    path: Path
    sha256: str
    schema: Schema
    max_difference: float
    megabytes: float
    engine: Literal["onnxruntime", "openvino"] = "onnxruntime"
    footprint: Footprint | None = None
    answers: Path | None = None


@dataclass(frozen=True, slots=True)
class RatedVariant:
    """A variant with its quality, and by how much it missed the budget.

    Attributes:
        variant: The variant, measured.
        quality: The deciding metric on the validation rows.
        quality_loss: By how much it is worse than the fp32 variant in that metric; negative: better.
        misses: One sentence for each limit of the budget that it missed, with the numbers; empty: it may be chosen.
    """

    variant: Variant
    quality: float
    quality_loss: float
    misses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Workshop:
    """All variants that were built for one model, and which of them is its graph.

    Attributes:
        rated: Every variant, in the order of the project file.
        left_out: Variant name to the reason why it could not be built here.
        chosen: The variant that will be scored, registered and served.
        table: The Pareto table as a Markdown file.
        picture: The Pareto picture as a PNG file.
        memory_ratio: Peak memory of training over that of the chosen variant's process; None if not measured.
    """

    rated: tuple[RatedVariant, ...]
    left_out: dict[str, str]
    chosen: Variant
    table: Path
    picture: Path
    memory_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a version comes from: enough to make it again.

    Attributes:
        project_file: The project file that was run.
        project_sha256: Its hash.
        commit: Git commit of the code, with `-dirty` behind it if the tree had changes; or `unknown`.
        reason: Why it was trained: `first`, `schedule`, `manual`, or the decision's reason.
        decision_id: The decision that asked for it, or None.
        until: Event time up to which data was used (UTC), or None for all.
        is_retraining: Whether the project's `monitoring.retrain` says which rows it learns from and where it starts.
    """

    project_file: Path
    project_sha256: str
    commit: str
    reason: str = "manual"
    decision_id: str | None = None
    until: datetime | None = None
    is_retraining: bool = False


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a training begins.

    Attributes:
        model: The fitted model whose weights and encoder it begins with; None: with chance.
        version: Number of the version that this model is of; None without one.
        trained_until: Event time of the newest row that this model learned from (UTC); None without one.
        reason: Why it begins with chance although the champion's weights were asked for; empty else.
    """

    model: FittedModel | None = None
    version: int | None = None
    trained_until: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One registered version of a model.

    Attributes:
        name: Name of the registered model: the project's name.
        version: Version number.
        run_id: The MLflow run that made it.
        sha256: Hash of its ONNX file.
    """

    name: str
    version: int
    run_id: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Challenger:
    """A version that is asked beside the champion: on its way to be champion, or, after that, the one before it.

    Attributes:
        version: Which version.
        variant: `shadow`: it scores what the champion answers, unseen; `canary`: it answers a share of the requests.
        share: Of the requests that it answers, 0 to 1; 0 for a shadow.
        step: Number of the step, counted from 0.
        since: When the step began (UTC).
        champion: Number of the champion it was judged against; None counts for any.
        purpose: `rollout`: it is to become champion; `probation`: it was the champion before this one, and is asked
            beside it to see whether it was better.
    """

    version: ModelVersion
    variant: Literal["shadow", "canary"]
    share: float
    step: int
    since: datetime
    champion: int | None = None
    purpose: Literal["rollout", "probation"] = "rollout"

    def challenges(self, champion: ModelVersion) -> bool:
        """Whether it runs against this champion; when another one took over, or it did so itself, it is no challenger.

        So whoever moves the alias `champion` ends the rollout in that same moment, and has only to tidy up afterwards.
        """
        return self.champion in {None, champion.version} and self.version.version != champion.version


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A version's files on this machine, checked against the manifest.

    Attributes:
        version: Which version.
        graph: The ONNX file.
        schema: What a row looks like.
        reference: Parquet file with the sample of training rows.
        metrics: The scorecard's metrics at registration.
        config_sha256: Hash of the project file it was trained with.
    """

    version: ModelVersion
    graph: Path
    schema: Schema
    reference: Path
    metrics: dict[str, float]
    config_sha256: str

"""The section `optimization` of the project file: which variants are built, and what inference may cost."""

from typing import Any, Literal

from pydantic import Field

from components.settings.base import Settings

VariantName = Literal["fp32", "fp16", "int8_dynamic", "int8_static", "pruned", "student", "openvino", "openvino_bf16"]


class BudgetSettings(Settings):
    """What inference may cost; what is not said is not limited."""

    max_difference: float = Field(1e-4, gt=0, description="Largest difference of an fp32 output to the network's.")
    max_mb: float = Field(50, gt=0, description="Largest size of the graph in MB.")
    max_quality_loss: float = Field(
        0.002, ge=0, description="How much worse than fp32 the deciding metric may be on validation rows."
    )
    p99_ms: float | None = Field(None, gt=0, description="Slowest 1 % of calls with one row, in the graph alone.")
    rows_per_second: float | None = Field(None, gt=0, description="Rows a second at 1,024 rows a call, on one thread.")


class PruneSettings(Settings):
    """How the network is made physically smaller."""

    keep: float = Field(0.5, gt=0, lt=1, description="Share of the units of each hidden layer that stay.")
    epochs: int = Field(1, ge=1, description="Epochs of fine-tuning after the cut.")
    learning_rate: float = Field(1e-3, gt=0)


class StudentSettings(Settings):
    """A smaller network of the same class that learns from the first one's answers."""

    init_args: dict[str, Any] = Field(
        default_factory=lambda: {"hidden_units": 48, "members": 1},
        description="Arguments that differ from the model's.",
    )
    epochs: int = Field(3, ge=1)
    teacher_weight: float = Field(0.7, gt=0, le=1, description="Weight of the teacher's answer beside the label.")


class OptimizationSettings(Settings):
    """How a trained network is made ready for inference."""

    variants: tuple[VariantName, ...] = Field(
        ("fp32", "int8_dynamic", "int8_static"), description="What is built and measured; fp32 always is."
    )
    prefer: Literal["speed", "size", "quality"] = Field(
        "speed", description="Which of those within the budget becomes the model."
    )
    calibration: Literal["temperature", "none"] = Field(
        "temperature", description="Scale the logits so that probabilities mean what they say on validation rows."
    )
    measure_seconds: float = Field(0.5, gt=0, le=60, description="How long each batch size of a variant is measured.")
    prune: PruneSettings = PruneSettings()
    student: StudentSettings = StudentSettings()
    budget: BudgetSettings = BudgetSettings()

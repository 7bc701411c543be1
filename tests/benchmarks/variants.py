"""What each variant of the flights model costs and loses, beside eager PyTorch: all sides in one run, on one thread.

    python tests/benchmarks/variants.py [folder]

Trains the model of deploy/projects/flight-delays.yaml on its own table (January to April 2013), unless the folder holds
it from before; cuts and distils it; builds every variant. The sides take turns at each batch size, so that what else
the machine does falls on all of them. Two rows are PyTorch: the network alone, on tensors that are already encoded; and
from raw rows, through training's own encoder. Every other row begins with raw rows. AUC is the area under the ROC curve
on the test rows, loss by how much it is below PyTorch's. Ratio is how many times the rows a second of PyTorch's network
alone, from the medians at 1,024 rows; quiet the same from the fastest twentieth of the calls: on a busy machine longer
calls are disturbed more often, which flatters the ratio of the medians. Load and peak memory come from a process of its
own for each variant.
"""

import platform
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import torch
from sklearn.metrics import roc_auc_score

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from components.data import schema as schemas  # noqa: E402 - the repository's root must be found first
from components.data import splits, tables  # noqa: E402
from components.data.feeds import feeds  # noqa: E402
from components.optimization.engines import Engine, open_engine  # noqa: E402
from components.optimization.measuring import measure  # noqa: E402
from components.optimization.networks import load_network  # noqa: E402
from components.optimization.pruning import prune  # noqa: E402
from components.optimization.variants import build  # noqa: E402
from components.records.models import FittedModel, Variant  # noqa: E402
from components.records.rows import Split  # noqa: E402
from components.settings.optimization import OptimizationSettings  # noqa: E402
from components.settings.project import Project, TrainingSettings  # noqa: E402
from components.settings.reading import load_project  # noqa: E402
from components.training.encoding import Encoder  # noqa: E402
from components.training.fit import fit_model  # noqa: E402

SETTINGS = OptimizationSettings(
    variants=("fp32", "fp16", "int8_dynamic", "int8_static", "pruned", "student", "openvino", "openvino_bf16")
)
NETWORK = "PyTorch, network alone"
SIZES = (1, 32, 1024)
QUIET = 0.05  # the calls that nothing else on the machine disturbed, when it was busy
SECONDS, TURN_SECONDS = 4.0, 0.02  # for each side and batch size; a turn is short beside what disturbs a machine
TABLE = Path(__file__).parent / "results" / "variants.txt"


def main() -> None:
    """Train, build, measure, print the table, and keep it."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        project = load_project(ROOT / "deploy" / "projects" / "flight-delays.yaml")
        split = flights(project, folder)
        fitted, smaller = networks(project, split, folder)
        begun = time.monotonic()
        built, left_out = build(fitted, smaller, split, SETTINGS, folder / "variants", project=project.name)
        build_seconds = time.monotonic() - begun
        measured = measure(built, split.validation, SETTINGS)
        text = "\n".join(report(split, fitted, measured, left_out, build_seconds)) + "\n"
    print(text, end="")
    TABLE.write_text(text)


def flights(project: Project, folder: Path) -> Split:
    """The flights of the project file, divided as it says."""
    table = tables.ingest(project, folder / "tables")
    schema = schemas.infer_schema(tables.read_table(table), project.data)
    return splits.split(table, schema, project, folder / "split")


def networks(project: Project, split: Split, folder: Path) -> tuple[FittedModel, dict[str, FittedModel]]:
    """The trained network, the cut one after fine-tuning, and the student; from the folder if they are there."""
    training, pruning, teaching = project.training, SETTINGS.prune, SETTINGS.student
    fitted = fit_once(split, training, folder / "fit")
    cut = prune(fitted, pruning, folder / "cut")
    tuning = training.model_copy(update={"max_epochs": pruning.epochs, "learning_rate": pruning.learning_rate})
    model = training.model.model_copy(update={"init_args": {**training.model.init_args, **teaching.init_args}})
    learning = training.model_copy(update={"model": model, "max_epochs": teaching.epochs})
    student = partial(fit_once, teacher=fitted, teacher_weight=teaching.teacher_weight)
    smaller = {
        "pruned": fit_once(split, tuning, folder / "pruned", start=cut),
        "student": student(split, learning, folder / "student"),
    }
    return fitted, smaller


def fit_once(split: Split, settings: TrainingSettings, folder: Path, **from_others: object) -> FittedModel:
    """What a training leaves in the folder; trained if it has not been."""
    if (folder / "weights.safetensors").exists():
        return FittedModel(folder, 0, 0, 0.0, 0.0, 0)
    return fit_model(split, settings, folder, **from_others)


def report(
    split: Split, fitted: FittedModel, measured: tuple[Variant, ...], left_out: dict[str, str], build_seconds: float
) -> list[str]:
    """The table, line by line."""
    frame = pl.read_parquet(split.test.path)
    sides = pytorch(split, fitted, frame)
    columns = feeds(frame, split.schema)
    for variant in measured:
        sides[variant.name] = partial(onnx_answers, open_engine(variant), columns)
    areas = {name: roc_auc_score(frame["late"].to_numpy(), side(frame.height)()) for name, side in sides.items()}
    milliseconds = {rows: take_turns({name: side(rows) for name, side in sides.items()}) for rows in SIZES}
    found = {variant.name: variant for variant in measured}
    rows_used = f"{split.train.rows:,} rows learned, {frame.height:,} scored"
    lines = [
        f"$ python tests/benchmarks/variants.py    # {platform.machine()}, one thread; {rows_used}; "
        f"{len(measured)} variants built in {build_seconds:.1f} s",
        f"{'':<24}{'AUC':>8}{'loss':>9}"
        + "".join(f"{f'{rows} rows, p50/p99 ms':>24}" for rows in SIZES)
        + f"{'rows/s':>11}{'ratio':>7}{'quiet':>7}{'load ms':>9}{'MB':>7}{'peak MB':>9}",
    ]
    eager = np.array(milliseconds[1024][NETWORK])
    for name in sides:
        times = [np.array(milliseconds[rows][name]) for rows in SIZES]
        latencies = "".join(f"{f'{np.median(t):.3f} / {np.quantile(t, 0.99):.3f}':>24}" for t in times)
        ratios = [np.quantile(eager, share) / np.quantile(times[-1], share) for share in (0.5, QUIET)]
        lines.append(
            f"{name:<24}{areas[name]:>8.4f}{areas[NETWORK] - areas[name]:>9.4f}{latencies}"
            f"{1024 / np.median(times[-1]) * 1000:>11,.0f}{ratios[0]:>7.2f}{ratios[1]:>7.2f}"
            + (footprint(found[name]) if name in found else "")
        )
    return lines + [f"left out: {name}: {reason}" for name, reason in left_out.items()]


def footprint(variant: Variant) -> str:
    """Load, size and memory of a variant, as the workshop measures them."""
    if variant.footprint is None:
        return "  not measured"
    return f"{variant.footprint.load_ms:>9.0f}{variant.megabytes:>7.3f}{variant.footprint.peak_mb:>9.0f}"


Side = Callable[[int], Callable[[], np.ndarray]]


def pytorch(split: Split, fitted: FittedModel, frame: pl.DataFrame) -> dict[str, Side]:
    """The network as it was trained: on encoded tensors, and from raw rows through training's encoder."""
    network = load_network(fitted.folder, split.schema.target_kind)
    encoder = Encoder.read(fitted.folder / "encoder.json")

    def answers(numbers: torch.Tensor, categories: torch.Tensor) -> np.ndarray:
        with torch.inference_mode():
            return network(numbers, categories)[1].numpy()

    def encoded(rows: int) -> list[torch.Tensor]:
        return [torch.from_numpy(values) for values in encoder.encode(frame.head(rows))]

    return {
        NETWORK: lambda rows: partial(answers, *encoded(rows)),
        "PyTorch, from raw rows": lambda rows: lambda: answers(*encoded(rows)),
    }


def onnx_answers(engine: Engine, columns: dict[str, np.ndarray], rows: int) -> Callable[[], np.ndarray]:
    """A variant on the first raw rows."""
    batch = {name: values[:rows] for name, values in columns.items()}
    return lambda: engine.run(batch)["probability"]


def take_turns(works: dict[str, Callable[[], np.ndarray]]) -> dict[str, list[float]]:
    """Milliseconds of each call of each work, a few calls a turn."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(round(SECONDS / TURN_SECONDS)):
        for name, work in works.items():
            until = time.perf_counter() + TURN_SECONDS
            while (begun := time.perf_counter()) < until:
                work()
                found[name].append((time.perf_counter() - begun) * 1000)
    return found


if __name__ == "__main__":
    main()

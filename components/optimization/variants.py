"""All variants of one model that can be built here: each one file from raw row to prediction.

Whether a variant is fast and good enough is not asked; a variant that cannot be built is left out with its reason, and
costs the others nothing.
"""

import importlib.util
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import onnx
import polars

from components.data.feeds import feeds
from components.errors import ModelRefused
from components.optimization import precisions
from components.optimization.engines import FRONT_FILE, NETWORK_FILE, open_engine
from components.optimization.export import BYTES_PER_MB, Workpiece, plain, workpiece, written
from components.optimization.parity import difference
from components.records.models import FittedModel, Variant
from components.records.rows import Split
from components.settings.optimization import OptimizationSettings

log = logging.getLogger(__name__)

# Without one of these OpenVINO computes bf16 in float32, and slower than float32 itself.
BF16 = ("avx512_bf16", "amx_bf16")


def build(
    fitted: FittedModel,
    smaller: Mapping[str, FittedModel],
    split: Split,
    settings: OptimizationSettings,
    folder: Path,
    *,
    project: str = "",
) -> tuple[tuple[Variant, ...], dict[str, str]]:
    """The variants that the settings name, fp32 first, each as `model.onnx` in a folder of its name.

    Args:
        fitted: The trained network.
        smaller: Networks made from it, `pruned` and `student`, if they were asked for.
        split: Its validation rows calibrate, set the ranges of eight-bit numbers, and prove.
        settings: Which variants are wanted.
        folder: Where their folders go; made if it is not there.
        project: Name of the project, kept in each file.

    Returns:
        The variants, not yet measured, and for each name that could not be built the reason.

    Raises:
        ModelRefused: If the fp32 variant cannot be built, or differs from the network.
        SchemaMismatch: If a feature has the name of an output.
    """
    piece = workpiece(fitted, split, settings, project=project)
    built, left_out = [plain(piece, settings, folder / "fp32")], {}
    bench = _Bench(piece, smaller, split, settings, folder, project)
    for name in dict.fromkeys((*settings.variants, *smaller)):
        if name == "fp32":
            continue
        started = time.monotonic()
        try:
            variant = bench.make(name)
        except Exception as err:  # noqa: BLE001 - four tools with exceptions of their own; none may cost the others
            left_out[name] = str(err) or repr(err)
            log.warning("variant left out name=%s reason=%s", name, left_out[name])
            continue
        built.append(variant)
        log.info(
            "variant built name=%s mb=%.3f max_difference=%.2g seconds=%.1f",
            *(name, variant.megabytes, variant.max_difference, time.monotonic() - started),
        )
    return tuple(built), left_out


class _Bench:
    """What the makers of variants share."""

    def __init__(
        self,
        piece: Workpiece,
        smaller: Mapping[str, FittedModel],
        split: Split,
        settings: OptimizationSettings,
        folder: Path,
        project: str,
    ) -> None:
        self.piece, self.smaller, self.split, self.settings = piece, smaller, split, settings
        self.folder, self.project = folder, project
        self._makers: dict[str, Callable[[str], Variant]] = {
            "fp16": self._half,
            "int8_dynamic": self._int8_dynamic,
            "int8_static": self._int8_static,
            "pruned": self._smaller,
            "student": self._smaller,
            "openvino": self._openvino,
            "openvino_bf16": self._openvino,
        }

    def make(self, name: str) -> Variant:
        """The variant of that name, compared with the trained network; every answer is finite."""
        variant = self._makers[name](name)
        return replace(variant, max_difference=difference(variant.path, open_engine(variant), self.piece.witness))

    def _half(self, name: str) -> Variant:
        return self._made(name, precisions.half(self.piece.network))

    def _int8_dynamic(self, name: str) -> Variant:
        return self._made(name, precisions.int8_dynamic(self.piece.network))

    def _int8_static(self, name: str) -> Variant:
        rows = feeds(polars.read_parquet(self.split.validation.path), self.piece.schema)
        return self._made(name, precisions.int8_static(self.piece.network, *self.piece.encoder.encode(rows)))

    def _made(self, name: str, network: onnx.ModelProto) -> Variant:
        """The variant with this network behind the front."""
        path, sha256, megabytes = written(self.piece.whole(name, network), self.folder / name)
        return Variant(name, path, sha256, self.piece.schema, 0.0, megabytes)

    def _smaller(self, name: str) -> Variant:
        """Another network in float32; it must answer as itself first."""
        if name not in self.smaller:
            raise ModelRefused(
                f"{name} must be made by training before it is exported, but was not; ask training for it"
            )
        piece = workpiece(self.smaller[name], self.split, self.settings, project=self.project)
        return plain(piece, self.settings, self.folder / name, name=name)

    def _openvino(self, name: str) -> Variant:
        """The same network for OpenVINO's engine, behind our front; the whole graph lies beside its parts."""
        if importlib.util.find_spec("openvino") is None:
            raise ModelRefused(f"{name} needs OpenVINO, which is not installed; pip install 'everfit[openvino]'")
        if name == "openvino_bf16" and not precisions.cpu_can(*BF16):
            raise ModelRefused(
                f"{name} needs a CPU with one of {', '.join(BF16)}, and this one has neither; leave it out"
            )
        variant = replace(self._made(name, self.piece.network), engine="openvino")
        parts = {FRONT_FILE: self.piece.front(), NETWORK_FILE: self.piece.network}
        for file, model in parts.items():
            (variant.path.parent / file).write_bytes(model.SerializeToString(deterministic=True))
        size = sum((variant.path.parent / file).stat().st_size for file in parts)
        return replace(variant, megabytes=round(size / BYTES_PER_MB, 6))

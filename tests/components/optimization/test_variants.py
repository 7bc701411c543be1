"""The variants of one model: whole files with the same inputs and outputs, each with an answer to every row."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import polars
import pytest
from sklearn.metrics import log_loss, r2_score, roc_auc_score

from components.data.feeds import feeds
from components.errors import ModelRefused
from components.optimization import precisions
from components.optimization.engines import open_engine
from components.optimization.parity import edge_rows
from components.optimization.variants import build
from components.records.models import FittedModel
from components.settings.optimization import OptimizationSettings
from tests.components.optimization.shipped import CLASSES, MEASURED, answers_of_pytorch, learned

NAMES = ("int8_static", "fp32", "fp16", "int8_dynamic", "openvino", "openvino_bf16")
SETTINGS = OptimizationSettings(variants=NAMES)
# 256 steps: a probability moves by one or two in the mean; of a regression whose values spread over 300, less.
MEAN_DIFFERENCE = {"binary": 0.01, "multiclass": 0.01, "regression": 5.0}


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A learned model of each kind, with all variants of its own network by name."""
    folder = tmp_path_factory.mktemp(request.param)
    fitted, split = learned(folder / "fit", request.param)
    built, left_out = build(fitted, {}, split, SETTINGS, folder / "out", project="flights")
    return {variant.name: variant for variant in built}, left_out, split, folder / "out"


def test_all_that_this_machine_can_do_is_built(made):
    """fp32 comes first, then the order of the project file; only a CPU without bf16 leaves one out."""
    variants, left_out, _, folder = made

    has_bf16 = precisions.cpu_can("avx512_bf16", "amx_bf16")

    assert list(left_out) == ([] if has_bf16 else ["openvino_bf16"])
    assert [*variants, *left_out] == ["fp32", *(name for name in NAMES if name != "fp32")]
    assert all(variant.path == folder / name / "model.onnx" for name, variant in variants.items())
    assert {name for name, variant in variants.items() if variant.engine == "openvino"} <= {"openvino", "openvino_bf16"}


def test_each_is_one_whole_file_with_the_same_inputs_and_outputs(made):
    """Whoever serves one variant can serve any: raw columns in, answers out, nothing beside the file."""
    variants, _, split, _ = made

    ports = {}
    for name, variant in variants.items():
        session = onnxruntime.InferenceSession(variant.path, providers=["CPUExecutionProvider"])
        entries = [*session.get_inputs(), *session.get_outputs()]
        ports[name] = [(entry.name, entry.type, entry.shape) for entry in entries]
        if variant.engine == "onnxruntime":
            assert [path.name for path in variant.path.parent.iterdir()] == ["model.onnx"]

    assert all(found == ports["fp32"] for found in ports.values())
    assert [name for name, _, _ in ports["fp32"]][:4] == [column.name for column in split.schema.features]


def test_each_has_a_finite_answer_for_every_row(made):
    """Missing, unseen, extreme and strange values get an answer that is a number, in every precision."""
    variants, _, split, _ = made

    for name, variant in variants.items():
        answers = open_engine(variant).run(edge_rows(split.schema))

        assert all(np.isfinite(values).all() for values in answers.values()), name
        assert len(answers["prediction"]) == 20


def test_smaller_numbers_cost_little(made):
    """Half precision and eight bits answer the test rows nearly as fp32 does, and rank and fit them as well."""
    variants, _, split, _ = made
    kind, frame = split.schema.target_kind, polars.read_parquet(split.test.path)
    columns = feeds(frame, split.schema)

    answers = {name: open_engine(variant).run(columns)[MEASURED[kind]] for name, variant in variants.items()}

    for name, found in answers.items():
        assert np.abs(found - answers["fp32"]).mean() < MEAN_DIFFERENCE[kind], name
        assert quality(kind, frame, found) > quality(kind, frame, answers["fp32"]) - 0.002, name


def quality(kind, frame, answers):
    """Higher is better, in steps of about a hundredth."""
    if kind == "binary":
        return roc_auc_score(frame["answer"], answers)
    return (
        -log_loss(frame["answer"], answers, labels=CLASSES)
        if kind == "multiclass"
        else r2_score(frame["answer"], answers)
    )


def test_fp32_and_openvino_are_exact_and_the_others_are_measured(made):
    """What is float32 answers as PyTorch does; of the others the largest difference is known, not limited."""
    variants, _, _, _ = made

    exact = {name: variants[name].max_difference for name in ("fp32", "openvino")}
    measured = [variant.max_difference for name, variant in variants.items() if name not in exact]

    assert max(exact.values()) < 1e-5
    assert min(measured) > 1e-5


def test_smaller_numbers_make_smaller_files(made):
    """Weights in half precision are smaller than in full, and in eight bits smaller still."""
    variants, _, _, _ = made

    weights = {name: sum(len(constant.raw_data) for constant in onnx.load(variants[name].path).graph.initializer)
               for name in ("fp32", "fp16", "int8_static")}  # fmt: skip

    assert weights["fp16"] < 0.7 * weights["fp32"]
    assert weights["int8_static"] < 0.5 * weights["fp32"]
    assert variants["fp16"].megabytes < variants["fp32"].megabytes


def test_what_is_written_anew_is_the_same_to_the_byte(made, tmp_path):
    """MLflow loads a graph and writes it again: the hash of each variant survives that, and names its file."""
    variants, _, _, _ = made

    for name, variant in variants.items():
        onnx.save_model(onnx.load(variant.path), tmp_path / "again.onnx")

        assert (tmp_path / "again.onnx").read_bytes() == variant.path.read_bytes(), name
        assert variant.megabytes == pytest.approx(variant.path.stat().st_size / 1e6, rel=1e-3) or "openvino" in name


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory):
    """A learned binary model, for builds of a few variants."""
    return learned(tmp_path_factory.mktemp("binary") / "fit")


def test_the_same_model_gives_the_same_files(binary, tmp_path):
    """Building twice gives the same bytes, so a hash names a variant."""
    settings = OptimizationSettings(variants=("fp32", "fp16", "int8_dynamic", "int8_static"))

    once, again = (build(binary[0], {}, binary[1], settings, tmp_path / name)[0] for name in ("a", "b"))

    assert [variant.sha256 for variant in once] == [variant.sha256 for variant in again]
    assert len({variant.sha256 for variant in once}) == 4


def test_smaller_networks_are_whole_variants_too(binary, tmp_path):
    """A cut and a distilled network come in float32, proven to be themselves and compared with the trained one."""
    fitted, split = binary
    units = {"pruned": 12, "student": 8}
    smaller = {name: learned(tmp_path / name, split=split, hidden_units=each)[0] for name, each in units.items()}

    built, left_out = build(
        fitted, smaller, split, OptimizationSettings(variants=("fp32", "student")), tmp_path / "out"
    )

    assert not left_out
    assert [variant.name for variant in built] == ["fp32", "student", "pruned"]
    sizes = {variant.name: variant.megabytes for variant in built}
    assert sizes["student"] < sizes["pruned"] < sizes["fp32"]
    for variant in built[1:]:
        frame = polars.read_parquet(split.test.path)
        own = answers_of_pytorch(smaller[variant.name], split, frame)
        found = open_engine(variant).run(feeds(frame, split.schema))["probability"]
        # The temperature moves values, never their order; ties of float32 aside.
        assert roc_auc_score(frame["answer"], found) == pytest.approx(roc_auc_score(frame["answer"], own), abs=1e-5)
        assert 0.001 < variant.max_difference < 1


def test_what_was_not_made_or_is_broken_is_left_out_with_its_reason(binary, tmp_path):
    """A student that nobody trained and a cut network without files cost the other variants nothing."""
    settings = OptimizationSettings(variants=("pruned", "student", "fp16"))

    built, left_out = build(
        binary[0], {"pruned": FittedModel(tmp_path / "gone", 1, 1, 0.5, 1.0, 1)}, binary[1], settings, tmp_path / "out"
    )

    assert [variant.name for variant in built] == ["fp32", "fp16"]
    assert "must hold `numbers` and `categories`" in left_out["pruned"]
    assert "student must be made by training before it is exported" in left_out["student"]


def test_without_openvino_the_reason_says_how_to_get_it(binary, tmp_path, monkeypatch):
    """OpenVINO is an extra: who has not installed it is told how, and gets all other variants."""
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)

    built, left_out = build(binary[0], {}, binary[1], OptimizationSettings(variants=("openvino",)), tmp_path)

    assert [variant.name for variant in built] == ["fp32"]
    assert left_out == {"openvino": "openvino needs OpenVINO, which is not installed; pip install 'everfit[openvino]'"}


def test_bf16_is_left_out_where_the_cpu_has_none(binary, tmp_path, monkeypatch):
    """Emulated bf16 is slower than float32: there is no such variant on a CPU that cannot do it."""
    monkeypatch.setattr(precisions, "cpu_can", lambda *flags: False)

    _, left_out = build(binary[0], {}, binary[1], OptimizationSettings(variants=("openvino_bf16",)), tmp_path)

    assert "needs a CPU with one of avx512_bf16, amx_bf16, and this one has neither" in left_out["openvino_bf16"]


# A network of the user's own that multiplies no matrices, or exports differently if told to.
NETWORK = """
import torch

class Net(torch.nn.Module):
    def __init__(self, inputs, wrong_when_exported=False):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(inputs["numbers"]))
        self.wrong_when_exported = wrong_when_exported

    def forward(self, numbers, categories):
        scores = (torch.nan_to_num(numbers) * self.weight).sum(dim=1, keepdim=True)
        if self.wrong_when_exported and torch.compiler.is_exporting():
            scores = scores * 1.01
        return scores
"""


def of_the_user(folder: Path, binary, monkeypatch, **init_args):
    """The learned model's files with a network of the user's own in the place of the shipped one."""
    from safetensors.torch import save_file

    (folder / "products_net.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(__import__("sys").modules, "products_net", raising=False)
    from products_net import Net

    save_file(Net({"numbers": 2}).state_dict(), folder / "weights.safetensors")
    (folder / "encoder.json").write_bytes((binary[0].folder / "encoder.json").read_bytes())
    facts = {"class_path": "products_net.Net", "init_args": init_args, "inputs": {"numbers": 2}}
    (folder / "model.json").write_text(json.dumps(facts))
    return FittedModel(folder, 1, 1, 0.5, 1.0, 2)


def test_a_network_without_matrix_products_has_no_smaller_numbers(binary, tmp_path, monkeypatch):
    """Where there is nothing to round, the reason says so and names what the network is made of."""
    fitted = of_the_user(tmp_path, binary, monkeypatch)
    settings = OptimizationSettings(variants=("fp16", "int8_dynamic", "int8_static"))

    built, left_out = build(fitted, {}, binary[1], settings, tmp_path / "out")

    assert [variant.name for variant in built] == ["fp32"]
    assert set(left_out) == {"fp16", "int8_dynamic", "int8_static"}
    assert all("but is made of ['" in reason and "leave this variant out" in reason for reason in left_out.values())


def test_without_a_true_fp32_there_are_no_variants(binary, tmp_path, monkeypatch):
    """All others are made from it: if it does not answer as the network does, the whole build is refused."""
    fitted = of_the_user(tmp_path, binary, monkeypatch, wrong_when_exported=True)

    with pytest.raises(ModelRefused, match="must answer as the network does, to within"):
        build(fitted, {}, binary[1], SETTINGS, tmp_path / "out")

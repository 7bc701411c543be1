"""Holds the rules of the tree: which room may import which, which vendor belongs to which room, what may load what."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LEVELS = {
    "records": 0,
    "errors": 0,
    "settings": 1,
    "data": 2,
    "registry": 2,
    "cost": 2,
    "training": 3,
    "evaluation": 3,
    "optimization": 3,
    "serving": 3,
    "monitoring": 3,
    "flows": 4,
}

# One room a vendor: to change the vendor is to change that room.
VENDORS = {
    "prefect": {"flows"},
    "mlflow": {"registry"},
    "bentoml": {"serving"},
    "evidently": {"monitoring"},
    "lightning": {"training"},
    "pytorch_lightning": set(),
    "torch": {"training", "optimization", "evaluation"},
    "torchmetrics": {"training", "evaluation"},
}

# Each of these runs whatever code stands in the file it loads.
PICKLES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}


@dataclass(frozen=True)
class Import:
    """One import statement: which file, which line, which module."""

    file: Path
    line: int
    module: str
    is_nested: bool

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.module}"


def product_files() -> list[Path]:
    """All Python files of the product."""
    return sorted([*ROOT.glob("components/**/*.py"), *ROOT.glob("flows/**/*.py")])


def room(parts: tuple[str, ...]) -> str | None:
    """The room that a module or a file belongs to; None if it is not ours, or the package that holds the rooms."""
    if parts[0] == "flows":
        return "flows"
    return parts[1] if parts[0] == "components" and len(parts) > 1 else None


def room_of_file(file: Path) -> str | None:
    """The room that a file belongs to."""
    return room(file.relative_to(ROOT).with_suffix("").parts)


def imports(file: Path) -> Iterator[Import]:
    """Every import of a file, also those inside functions; `from a import b` counts as `a.b`."""
    tree = ast.parse(file.read_text(), file)
    for node in ast.walk(tree):
        nested = node not in tree.body
        if isinstance(node, ast.Import):
            yield from (Import(file, node.lineno, alias.name, nested) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: imports name their room in full"
            yield from (Import(file, node.lineno, f"{node.module}.{alias.name}", nested) for alias in node.names)


def all_imports() -> Iterator[Import]:
    """Every import of the product."""
    for file in product_files():
        yield from imports(file)


def imported_by(code: str) -> set[str]:
    """Top-level modules that a fresh Python has imported after this code, beyond those of an empty program."""
    listing = "\nimport sys; print('modules:', *{name.partition('.')[0] for name in sys.modules})"
    loaded = _modules(code + listing)
    return loaded - _modules("pass" + listing)


def _modules(code: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("modules:")[2].split())


def test_every_room_has_a_level():
    """A new room is given its place before it is used."""
    found = {room_of_file(file) for file in product_files()} - {None, "__init__"}

    assert found <= set(LEVELS), f"without a level: {found - set(LEVELS)}"


def test_a_room_imports_only_lower_rooms_and_itself():
    """Imports go down; rooms of one level never see each other."""
    wrong = []
    for found in all_imports():
        here, there = room_of_file(found.file), room(tuple(found.module.split(".")))
        if here in LEVELS and there is not None and here != there and LEVELS[there] >= LEVELS[here]:
            wrong.append(f"{found}, but {there} is not below {here}")

    assert not wrong, "\n".join(wrong)


def test_no_two_files_import_each_other_in_a_circle():
    """Every file can be understood, and imported, before those that use it."""
    modules = {".".join(file.relative_to(ROOT).with_suffix("").parts) for file in product_files()}
    graph: dict[str, set[str]] = {name: set() for name in modules}
    for found in all_imports():
        here = ".".join(found.file.relative_to(ROOT).with_suffix("").parts)
        targets = {found.module, found.module.rpartition(".")[0]} & modules
        graph[here] |= set() if found.is_nested else targets

    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as err:
        pytest.fail(" -> ".join(err.args[1]))


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_vendor_is_known_to_its_rooms_only(vendor: str):
    """To change a vendor is to change one room."""
    users = [found for found in all_imports() if found.module.split(".")[0] == vendor]

    wrong = [str(found) for found in users if room_of_file(found.file) not in VENDORS[vendor]]

    assert not wrong, "\n".join(wrong)


def test_records_and_errors_need_the_standard_library_only():
    """Facts and errors can be imported anywhere."""
    files = [*(ROOT / "components/records").glob("*.py"), ROOT / "components/errors.py"]
    allowed = {*sys.stdlib_module_names, "components"}

    foreign = [str(f) for file in files for f in imports(file) if f.module.split(".")[0] not in allowed]

    assert not foreign, "\n".join(foreign)


def test_settings_need_pydantic_and_yaml_only():
    """A project file can be checked in a moment, wherever Everfit is installed."""
    allowed = {"pydantic", "pydantic_core", "pydantic_settings", "yaml", "components"}
    supports = {"typing_extensions", "typing_inspection", "annotated_types", "annotationlib", "dotenv", "_yaml"}
    files = sorted((ROOT / "components/settings").glob("*.py"))
    names = [f"components.settings.{file.stem}" for file in files if file.stem != "__init__"]

    loaded = imported_by("\n".join(f"import {name}" for name in names))

    built_in = ("_sysconfigdata", "_cython", "cython_runtime")  # made by the interpreter and by compiled modules
    foreign = {name for name in loaded - sys.stdlib_module_names if not name.startswith(built_in)}
    assert foreign <= allowed | supports


def test_the_service_starts_without_what_only_training_needs():
    """The image that answers requests holds no torch, no Lightning, no Prefect and no Evidently."""
    loaded = imported_by("import components.serving.service, components.serving.worker")

    assert not loaded & {"torch", "lightning", "prefect", "evidently", "matplotlib", "onnxscript"}


def test_help_is_printed_without_the_heavy_packages():
    """`everfit --help` answers at once."""
    code = "import sys\nsys.argv = ['everfit', '--help']\nfrom flows.cli import main\ntry:\n    main()\n"
    loaded = imported_by(code + "except SystemExit:\n    pass")

    assert not loaded & {"torch", "lightning", "mlflow", "prefect", "bentoml", "evidently", "polars", "pandas"}


def test_init_files_hold_a_docstring_and_nothing_else():
    """Importing one file of a room does not import the others."""
    wrong = []
    for file in product_files():
        if file.name == "__init__.py":
            tree = ast.parse(file.read_text())
            if len(tree.body) != 1 or not ast.get_docstring(tree):
                wrong.append(str(file.relative_to(ROOT)))

    assert not wrong, wrong


def test_nothing_is_loaded_that_can_run_code():
    """No pickle on any load path: a model from the registry, a cache or a checkpoint is data."""
    modules = [str(found) for found in all_imports() if found.module.split(".")[0] in PICKLES]
    calls = [found for file in product_files() for found in _unsafe_calls(file)]

    assert not modules + calls, "\n".join(modules + calls)


def _unsafe_calls(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        arguments = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if name == "torch.load" and arguments.get("weights_only") != "True":
            yield f"{file.relative_to(ROOT)}:{node.lineno} torch.load without weights_only=True"
        if name.endswith("load_from_checkpoint") and arguments.get("weights_only") != "True":
            yield f"{file.relative_to(ROOT)}:{node.lineno} {name} without weights_only=True"
        if arguments.get("allow_pickle") == "True":
            yield f"{file.relative_to(ROOT)}:{node.lineno} {name} with allow_pickle=True"

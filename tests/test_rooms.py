"""The house: every room stands on those above it alone, and no file grows too long."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import deepcr_lightning

PACKAGE = Path(deepcr_lightning.__file__).parent
# From the ground up, as in the plan: a room may import those that stand before it.
ROOMS = (
    "errors",
    "atomic",
    "figures",
    "report_style",
    "named",
    "console",
    "exposures",
    "sights",
    "simulation",
    "labels",
    "tiles",
    "networks",
    "scores",
    "models",
    "batches",
    "training",
    "prediction",
    "inpainting",
    "runs",
    "photometry",
    "evaluation",
    "thresholds",
    "sweeps",
    "archive",
    "viewer",
    "commands",
    "export",
    "__main__",
)
MOST_LINES, MOST_SHARE = 300, 0.12


def modules() -> dict[str, Path]:
    """Name the modules of the package, without its own name, and their files."""
    files = {
        path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", "."): path for path in PACKAGE.rglob("*.py")
    }
    return {name.removesuffix(".__init__"): path for name, path in files.items() if name != "__init__"}


MODULES = modules()


def imports(path: Path) -> set[str]:
    """Name the modules of the package that a file imports, at its top or in a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    inside = {name.removeprefix("deepcr_lightning.") for name in found if name.startswith("deepcr_lightning.")}
    return inside & set(MODULES)


IMPORTS = {name: imports(path) for name, path in MODULES.items()}


def room(module: str) -> str:
    """Name the room of a module."""
    return module.partition(".")[0]


def test_every_room_has_its_place() -> None:
    assert {room(module) for module in MODULES} <= set(ROOMS)
    assert len(IMPORTS) > 100
    assert sum(map(len, IMPORTS.values())) > 400


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_imports_from_rooms_above_it_alone(name: str) -> None:
    above = ROOMS[: ROOMS.index(name) + 1]
    below = {
        f"{module} imports {other}"
        for module, others in IMPORTS.items()
        for other in others
        if room(module) == name and room(other) not in above
    }
    assert not below


def test_no_files_import_each_other_in_a_circle() -> None:
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join([*way[way.index(module) :], module])
        if module not in done:
            for other in IMPORTS[module]:
                visit(other, (*way, module))
            done.add(module)

    for module in IMPORTS:
        visit(module, ())


def test_no_file_is_too_long() -> None:
    lines = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in MODULES.values()}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_no_room_is_too_large() -> None:
    lines = Counter[str]()
    for name, path in MODULES.items():
        lines[room(name)] += len(path.read_text().splitlines())
    assert {name: count for name, count in lines.items() if count > MOST_SHARE * lines.total()} == {}


_IMPORTS_IN_TURN = """
import importlib, json, sys
seen = {}
for room, modules in json.load(sys.stdin):
    for module in modules:
        importlib.import_module(f"deepcr_lightning.{module}")
    seen[room] = sorted({name.split(".")[1] for name in sys.modules if name.startswith("deepcr_lightning.")})
print(json.dumps(seen))
"""


def test_a_room_brings_no_room_below_it_into_memory() -> None:
    """Whatever imports what: from the ground up, each room is imported before those below it have been."""
    inside = [(name, sorted(module for module in MODULES if room(module) == name)) for name in ROOMS]
    modules = [
        (name, [module for module in members if module.rpartition(".")[2] != "__main__"]) for name, members in inside
    ]
    asked = json.dumps([(name, members) for name, members in modules if members])
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _IMPORTS_IN_TURN],
        input=asked,
        capture_output=True,
        text=True,
        check=True,
    )
    for name, seen in json.loads(ran.stdout).items():
        assert set(seen) <= set(ROOMS[: ROOMS.index(name) + 1]), name


def test_descriptions_of_parameters_stand_alone() -> None:
    files = [path for top in ("deepcr_lightning", "benchmarks") for path in (PACKAGE.parent / top).rglob("*.py")]
    assert len(files) > 200
    assert [str(path) for path in files if re.search(r"\n +\w[\w, ]* : .+\n +Of ", path.read_text())] == []


def test_no_two_files_share_a_name() -> None:
    names = [path.name for path in MODULES.values() if not path.name.startswith("__")]
    assert sorted(names) == sorted(set(names))


def test_nothing_but_training_stands_on_training() -> None:
    others = {room(module) for module, names in IMPORTS.items() for other in names if room(other) == "training"}
    assert others == {"training", "inpainting", "runs", "commands"}

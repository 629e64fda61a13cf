"""The rules of the house: layers point one way, kernels are pure, public functions say what they take."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import array_api_compat.numpy as standard
import pytest
from onepass.kernels import arrays

import onepass as op
from onepass import kernels

# Folders of the public API beside its files; they import what lies beside them.
PARTS = {"sklearn"}
FOLDERS = {
    "onepass": Path(op.__file__).parent,
    "kernels": Path(kernels.__file__).parent,
    "backends": Path(sys.modules["onepass.backends"].__file__ or "").parent,
}


# Which rooms of the backends a room may import. The root may import every room; no room imports the root.
ROOMS: dict[str, set[str]] = {
    "common": set(),
    "ir": {"common"},
    "trace": {"common", "ir"},
    "autodiff": {"common", "ir", "trace"},
    "codegen": {"common", "ir", "trace"},
    "cpu/llvm": {"common", "ir"},
    "cpu/runtime": {"common", "ir", "cpu/llvm"},
    "cpu": {"common", "ir", "trace", "codegen", "cpu/llvm", "cpu/runtime"},
    "cuda": {"common", "ir", "trace", "codegen"},
    "distributed": {"common"},
    "ufuncs": {"common", "ir", "trace"},
}


def files(*folders: str) -> list[Any]:
    """The Python files of some of the folders, and of the folders in them, as parameters of a test."""
    return [
        pytest.param(path, id=f"{folder}/{path.relative_to(FOLDERS[folder]).as_posix()}")
        for folder in folders or FOLDERS
        for path in sorted(FOLDERS[folder].rglob("*.py"))
        if folder != "onepass" or path.parent == FOLDERS[folder] or path.parent.name in PARTS
    ]


def nodes(path: Path) -> Iterator[ast.AST]:
    """All of a file's syntax tree."""
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def imports(path: Path) -> set[str]:
    """Absolute names of what a file imports; a relative one begins with its dots."""
    found: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return found


@pytest.mark.parametrize("path", files("onepass", "kernels"))
def test_layers_point_one_way(path: Path) -> None:
    folder = "kernels" if path.parent == FOLDERS["kernels"] else "onepass"
    is_part = folder == "onepass" and path.parent.name in PARTS
    for name in imports(path):
        # A part of the public API sees it from one folder below.
        name = name.removeprefix(".") if is_part and name.startswith("..") else name
        outside = name.split(".")[0]
        if outside == "":
            # The folders below lie inside of the public API's, and no folder reaches up.
            assert not name.startswith(".."), f"{name} leaves {folder}"
            assert not name.startswith(".backends."), f"{name}: the facade of the backends is .backends"
        else:
            assert outside != "onepass", f"{name}: import relatively"
            if folder == "kernels":
                allowed = {"array_api_compat", *sys.stdlib_module_names}
                assert outside in allowed, f"kernels import nothing but array_api_compat; got {name}"


@pytest.mark.parametrize("path", files("backends"))
def test_rooms_import_what_they_stand_on(path: Path) -> None:
    place = path.relative_to(FOLDERS["backends"]).parent
    room = place.as_posix()
    allowed = {room, *ROOMS[room]} if room in ROOMS else {".", *ROOMS}
    assert room in (".", *ROOMS), f"{room} is no room of the backends"
    for imported in rooms_imported(path, place):
        assert imported in allowed, f"{room} must not import {imported}"


def rooms_imported(path: Path, place: Path) -> Iterator[str]:
    """The rooms that a file of the room `place` imports from; "." is the root."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            assert all(not alias.name.startswith("onepass") for alias in node.names), "import relatively"
        if not isinstance(node, ast.ImportFrom):
            continue
        if not node.level:
            assert not (node.module or "").startswith("onepass"), "import relatively"
            continue
        assert node.level - 1 <= len(place.parts), f"line {node.lineno} leaves the backends"
        base = place.parts[: len(place.parts) - node.level + 1]
        for alias in node.names:
            names = [*base, *(node.module or "").split("."), alias.name]
            yield room_of([name for name in names if name])


def room_of(names: list[str]) -> str:
    """The longest path of folders that a dotted name begins with."""
    found = Path()
    for name in names:
        if not (FOLDERS["backends"] / found / name).is_dir():
            break
        found /= name
    return found.as_posix()


def test_every_room_is_a_package_of_the_wheel() -> None:
    import tomllib

    project = Path(__file__).parents[2] / "pyproject.toml"
    packages = tomllib.loads(project.read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    rooms = {f"onepass.backends.{room.replace('/', '.')}" for room in ROOMS}
    parts = {f"onepass.{part}" for part in PARTS}
    assert set(packages) == {"onepass", "onepass.kernels", "onepass.backends", *parts, *rooms}
    for room in ROOMS:
        assert (FOLDERS["backends"] / room / "__init__.py").is_file()


@pytest.mark.parametrize("path", files("backends"))
def test_a_backend_knows_no_kernel(path: Path) -> None:
    # `tanh` and the like are operations of the standard too.
    names = {name for name in kernels.__all__ if not hasattr(standard, name)} - {"linear"}
    words = {
        word
        for node in nodes(path)
        for word in (getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "value", None))
        if isinstance(word, str)
    }
    assert not names & words


@pytest.mark.parametrize("path", files("kernels"))
def test_kernels_write_into_nothing(path: Path) -> None:
    for node in nodes(path):
        assert not isinstance(node, ast.AugAssign), f"line {node.lineno} may change an argument"
        if isinstance(node, ast.Assign):
            targets = [target for target in node.targets if isinstance(target, ast.Subscript)]
            # The namespaces that were found are kept; that is no array.
            assert all(ast.unparse(target.value) == "_namespaces" for target in targets)
        if isinstance(node, ast.Call):
            assert "out" not in {keyword.arg for keyword in node.keywords}


# About what a screen shows. Docstrings and inner functions do not count.
MOST_LINES = 48


@pytest.mark.parametrize("path", files())
def test_a_function_fits_on_a_screen(path: Path) -> None:
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef):
            assert own_lines(node) <= MOST_LINES, f"{node.name}, line {node.lineno}"


def own_lines(function: ast.FunctionDef) -> int:
    """The lines of a function's body without its docstring and inner functions."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    lines = {line for node in body for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    for node in ast.walk(function):
        if node is not function and isinstance(node, ast.FunctionDef | ast.ClassDef):
            lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


@pytest.mark.parametrize("name", op.__all__)
def test_a_public_name_is_documented(name: str) -> None:
    function = getattr(op, name)
    text = inspect.getdoc(function) or ""
    assert text, f"{name} has no docstring"
    if name not in kernels.__all__:
        return
    for parameter in inspect.signature(function).parameters:
        refers = any(word in text for word in (" as for `", " as `", "as for the loss"))
        assert parameter in text or refers, f"{name} does not say what {parameter} is"
    says_where_from = "source:" in text or " source " in text or "-Jacobian" in text or name.endswith("_init")
    assert says_where_from, f"{name} does not say where its formula is from"


def test_the_public_names_are_the_functions() -> None:
    assert sorted(op.__all__) == op.__all__
    assert set(kernels.__all__) <= set(op.__all__)
    assert len(set(op.__all__)) == len(op.__all__)


def test_public_names_are_listed_once() -> None:
    listed = []
    for path in FOLDERS["kernels"].glob("*.py"):
        names = (
            getattr(sys.modules[f"onepass.kernels.{path.stem}"], "__all__", []) if path.stem[0] != "_" else []
        )
        defined = {node.name for node in nodes(path) if isinstance(node, ast.FunctionDef)}
        assert defined >= set(names), f"{path.name} lists what it does not define"
        listed += names
    assert sorted(listed) == sorted(kernels.__all__)
    for folder in FOLDERS.values():
        text = (folder / "__init__.py").read_text(encoding="utf-8")
        assert not any(f"{name}," in text or f'"{name}"' in text for name in listed)


LATE = {
    "numba",
    "llvmlite",
    "cupy",
    "mpi4py",
    "platformdirs",
    "onepass.backends.cpu",
    "onepass.backends.cuda",
}


def test_importing_onepass_imports_no_compiler() -> None:
    code = f"import sys, onepass; print(sorted({LATE} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_namespace_is_found_once() -> None:
    import numpy as np

    assert arrays.namespace(np.ones(1)) is arrays.namespace(np.ones(2))

"""The rules of the house: layers point one way, kernels are pure, public functions say what they take."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import array_api_compat.numpy as standard
import pytest
from onepass.kernels import arrays

import onepass as op
from onepass import kernels

FOLDERS = {
    "onepass": Path(op.__file__).parent,
    "kernels": Path(kernels.__file__).parent,
    "backends": Path(sys.modules["onepass.backends"].__file__ or "").parent,
}


def files(*folders: str) -> list[Any]:
    """The Python files of some of the folders, as parameters of a test."""
    return [
        pytest.param(path, id=f"{folder}/{path.name}")
        for folder in folders or FOLDERS
        for path in sorted(FOLDERS[folder].glob("*.py"))
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


@pytest.mark.parametrize("path", files())
def test_layers_point_one_way(path: Path) -> None:
    folder = next(folder for folder, root in FOLDERS.items() if path.parent == root)
    for name in imports(path):
        outside = name.split(".")[0]
        if outside == "":
            # One dot stays inside the folder; only the face may reach into the others, which lie inside it.
            assert not name.startswith(".."), f"{name} leaves {folder}"
        else:
            assert outside != "onepass", f"{name}: import relatively"
            if folder == "kernels":
                allowed = {"array_api_compat", *sys.stdlib_module_names}
                assert outside in allowed, f"kernels import nothing but array_api_compat; got {name}"


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


@pytest.mark.parametrize("path", files())
def test_a_file_fits_in_the_head(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 320


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


def test_a_namespace_is_found_once() -> None:
    import numpy as np

    assert arrays.namespace(np.ones(1)) is arrays.namespace(np.ones(2))

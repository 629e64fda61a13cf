"""Save and load weights and runs without pickle: lists, tuples and dicts of arrays and numbers, bit by bit.

`.npz` is NumPy's format. `.safetensors` needs the package safetensors.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

# The name of the entry that holds the structure of the tree.
STRUCTURE = "structure"


def save(path: Path, tree: Any) -> None:
    """Write the tree atomically: an interrupted program leaves no incomplete file under this name."""
    write = _format(path)[0]
    arrays: dict[str, np.ndarray] = {}
    structure = json.dumps(_pack(tree, "", arrays))
    unfinished = path.with_name(f"{path.stem}.part{path.suffix}")
    write(unfinished, arrays, structure)
    unfinished.replace(path)


def load(path: Path) -> Any:
    """Read a tree that `save` wrote."""
    arrays, structure = _format(path)[1](path)
    if structure is None:
        raise ValueError(f"{path}: has no entry {STRUCTURE!r}; expected a file written by these examples.")
    return _unpack(json.loads(structure), arrays)


def shapes(tree: Any) -> Any:
    """The tree with arrays replaced by their shapes, and numbers by None."""
    if isinstance(tree, dict):
        return {key: shapes(item) for key, item in tree.items()}
    if isinstance(tree, list | tuple):
        return [shapes(item) for item in tree]
    return getattr(tree, "shape", None)


def _pack(tree: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """The tree as JSON. An array is replaced by its name, and added to `arrays` under this name."""
    if isinstance(tree, dict):
        return {"dict": {key: _pack(item, f"{name}.{key}", arrays) for key, item in tree.items()}}
    if isinstance(tree, list | tuple):
        items = [_pack(item, f"{name}.{index}", arrays) for index, item in enumerate(tree)]
        return {"tuple" if isinstance(tree, tuple) else "list": items}
    if isinstance(tree, np.ndarray | np.generic):
        arrays[name[1:]] = np.asarray(tree)
        return {"array": name[1:]}
    return {"value": tree}


def _unpack(packed: Any, arrays: dict[str, np.ndarray]) -> Any:
    ((kind, content),) = packed.items()
    if kind == "dict":
        return {key: _unpack(item, arrays) for key, item in content.items()}
    if kind in ("list", "tuple"):
        items = [_unpack(item, arrays) for item in content]
        return tuple(items) if kind == "tuple" else items
    return arrays[content] if kind == "array" else content


def _format(path: Path) -> Any:
    """The functions that write and read files with this suffix."""
    formats = {".npz": (_write_npz, _read_npz), ".safetensors": (_write_safetensors, _read_safetensors)}
    if path.suffix not in formats:
        raise ValueError(f"{path}: ends in {path.suffix!r}; expected {' or '.join(formats)}.")
    return formats[path.suffix]


def _write_npz(path: Path, arrays: dict[str, np.ndarray], structure: str) -> None:
    np.savez(path, allow_pickle=False, **{STRUCTURE: np.asarray(structure)}, **arrays)


def _read_npz(path: Path) -> tuple[dict[str, np.ndarray], str | None]:
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    structure = arrays.pop(STRUCTURE, None)
    return arrays, None if structure is None else str(structure)


def _write_safetensors(path: Path, arrays: dict[str, np.ndarray], structure: str) -> None:
    from safetensors.numpy import save_file

    save_file(arrays, path, metadata={STRUCTURE: structure})


def _read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], str | None]:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
        return arrays, (file.metadata() or {}).get(STRUCTURE)

"""Emitted source and its machine code on the disk: compiled once, and right whatever becomes of the files."""

from __future__ import annotations

import errno
import os
import pickle
import re
import shutil
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numba")

import numba
from cached_program import SOURCE
from onepass.backends.common import cache_folder
from onepass.backends.cpu.runtime import program_cache


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder, empty, with nothing loaded and nobody warned yet."""
    folder = tmp_path / "kept"
    monkeypatch.setenv("ONEPASS_CACHE_DIR", str(folder))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(program_cache, "_modules", {})
    monkeypatch.setattr(cache_folder, "_warned", False)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if name.startswith("a_program"):
            del sys.modules[name]


def load_anew(source: str = SOURCE) -> types.ModuleType:
    """`load`, as in a process that has not loaded it yet, with the values checked."""
    for name in list(program_cache._modules):
        del program_cache._modules[name], sys.modules[name]
    module = program_cache.load(source, "a program")
    assert module.entry.ctypes(3.0) == 10.0
    assert module.square(3.0) == 9.0
    return module


def from_disk(module: types.ModuleType) -> int:
    """How many of the two functions were not compiled."""
    hits: int = module.entry.cache_hits + sum(module.square.stats.cache_hits.values())
    return hits


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut at the end": lambda content: content[:-7],
    "cut in half": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "zeros": lambda content: bytes(len(content)),
    "text": lambda content: b"<<<<<<< HEAD\n",
    "another pickle": lambda content: pickle.dumps(numba.__version__) + pickle.dumps([1, 2, 3]),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_damaged_machine_code_is_made_anew(kept: Path, suffix: str, damage: str) -> None:
    load_anew()
    damaged = [path for path in kept.rglob(f"*{suffix}") if ".entry-" in path.name]
    assert len(damaged) == 1
    damaged[0].write_bytes(DAMAGES[damage](damaged[0].read_bytes()))
    assert from_disk(load_anew()) == 0
    assert from_disk(load_anew()) == 2


def test_one_lost_file_is_no_trouble(kept: Path) -> None:
    load_anew()
    for path in sorted(kept.rglob("*.nb?")):
        path.unlink()
        load_anew()
        assert from_disk(load_anew()) == 2


@pytest.mark.parametrize(
    "content", ["", SOURCE[:50], "raise SystemExit('foreign')\n", SOURCE.replace("1.0", "2.0")]
)
def test_a_foreign_file_of_that_name_is_not_run(kept: Path, content: str) -> None:
    path = Path(load_anew().__file__ or "")
    path.write_text(content)
    assert from_disk(load_anew()) == 2
    assert path.read_text() == SOURCE


def test_a_folder_in_place_of_the_file(kept: Path) -> None:
    path = Path(load_anew().__file__ or "")
    path.unlink()
    path.mkdir()
    with pytest.warns(RuntimeWarning, match="cannot cache compiled programs"):
        load_anew()
    assert path.is_dir()


def test_a_folder_deleted_between_loads(kept: Path) -> None:
    first = program_cache.load(SOURCE, "a program")
    shutil.rmtree(kept)
    assert program_cache.load(SOURCE, "a program") is first
    other = program_cache.load(SOURCE + "\n", "a program")
    assert other is not first
    assert Path(other.__file__ or "").read_text() == SOURCE + "\n"
    assert first.entry.ctypes(3.0) == other.entry.ctypes(3.0) == 10.0
    assert from_disk(load_anew(SOURCE + "\n")) == 2


def test_a_folder_deleted_while_loading(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, deleted = program_cache._place, []

    def place_and_lose(path: Path, content: bytes) -> None:
        place(path, content)
        if not deleted:
            deleted.append(path)
            shutil.rmtree(kept)

    monkeypatch.setattr(program_cache, "_place", place_and_lose)
    load_anew()
    assert deleted
    assert from_disk(load_anew()) == 2


@pytest.mark.parametrize("full_for", [".py", ".nbi", ".nbc"])
def test_a_full_disk(kept: Path, monkeypatch: pytest.MonkeyPatch, full_for: str) -> None:
    replace = os.replace
    refused = []

    def replace_if_there_is_space(source: Any, target: Any) -> None:
        if str(target).endswith(full_for):
            refused.append(target)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", replace_if_there_is_space)
        with pytest.warns(RuntimeWarning, match="No space left"):
            module = load_anew()
        assert from_disk(module) == 0
        assert module.entry._cache.cache_path is None
        load_anew(SOURCE + "\n")  # warnings are errors here: the second says nothing
    assert len(refused) == 2
    assert not list(kept.rglob("*.tmp*"))
    load_anew()
    assert from_disk(load_anew()) == 2


def test_a_folder_that_may_not_be_written(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, content: bytes) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", refuse)
        with pytest.warns(RuntimeWarning, match="PermissionError.*Set ONEPASS_CACHE_DIR"):
            assert from_disk(load_anew()) == 0
        load_anew(SOURCE + "\n")  # warnings are errors here: the second says nothing
    load_anew()
    assert from_disk(load_anew()) == 2


def test_errors_of_the_source_are_raised(kept: Path) -> None:
    before = set(sys.modules)
    for wrong, error in [
        (SOURCE.replace("x * x", "x * y"), numba.TypingError),
        (SOURCE.replace("return x", "retrun x"), SyntaxError),
        (SOURCE + "\nno_such_name\n", NameError),
    ]:
        with pytest.raises(error):
            program_cache.load(wrong, "a program")
    assert not [name for name in set(sys.modules) - before if name.startswith("a_program")]


def test_the_same_source_is_the_same_module() -> None:
    loaded: list[types.ModuleType] = []
    threads = [
        threading.Thread(target=lambda: loaded.append(program_cache.load(SOURCE, "a program")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 4
    assert len({id(module) for module in loaded}) == 1


def test_names_make_safe_files(kept: Path) -> None:
    path = Path(program_cache.load("VALUE = 1", "../a b/ü:" + 300 * "x").__file__ or "")
    assert path.parent == kept
    assert path.name.isascii()
    assert len(path.name) < 100


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with copies of what programs import, which may be changed."""
    folder = Path(program_cache.__file__).parent
    for helper in program_cache.HELPERS:
        (tmp_path / f"{helper}.py").write_bytes((folder / f"{helper}.py").read_bytes())
    monkeypatch.setattr(program_cache, "__file__", str(tmp_path / "program_cache.py"))
    program_cache._helper_texts.cache_clear()
    yield tmp_path
    program_cache._helper_texts.cache_clear()


def hashed(source: str = SOURCE) -> str:
    program_cache._helper_texts.cache_clear()
    return program_cache._hash(source)


@pytest.mark.parametrize("helper", program_cache.HELPERS)
def test_a_change_of_a_helper_is_another_program(helpers: Path, helper: str) -> None:
    before = hashed()
    assert hashed() == before
    path = helpers / f"{helper}.py"
    path.write_text(path.read_text() + "# changed\n")
    assert hashed() != before


def test_all_that_programs_import_is_a_helper() -> None:
    """What emitted text imports, and what that imports in turn, but for rooms that leave no machine code."""
    runtime = Path(program_cache.__file__).parent
    backends = runtime.parents[1]
    emitted = "".join(path.read_text(encoding="utf-8") for path in backends.rglob("*.py"))
    pending = set(re.findall(r"from onepass\.backends\.([\w.]+) import", emitted))
    assert {"cpu.runtime.pointers", "cpu.runtime.vector_math"} <= pending
    assert all(name.startswith("cpu.runtime.") for name in pending)
    names = {name.rsplit(".", 1)[1] for name in pending}
    for _ in range(len(program_cache.HELPERS)):
        for name in list(names & {*program_cache.HELPERS}):
            text = (runtime / f"{name}.py").read_text(encoding="utf-8")
            names |= set(re.findall(r"^\s*from \.(\w+) import", text, re.MULTILINE))
    assert names == set(program_cache.HELPERS)


def test_what_machine_code_depends_on_is_in_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [hashed(), hashed(SOURCE + "\n")]
    for module in ("numba", "llvmlite", "onepass"):
        monkeypatch.setattr(sys.modules[module], "__version__", "another")
        names.append(hashed())
    monkeypatch.setattr(sys, "version", "another")
    names.append(hashed())
    assert len(set(names)) == len(names) == 6


def test_clear_deletes_what_is_ours(kept: Path) -> None:
    load_anew()
    others = [kept / "notes.py", kept / "a_program.py", kept / "__pycache__" / "notes.cpython-311.nbi"]
    for other in others:
        other.write_text("mine")
    program_cache.clear()
    assert sorted(path for path in kept.rglob("*") if path.is_file()) == sorted(others)
    assert from_disk(load_anew()) == 0
    shutil.rmtree(kept)
    program_cache.clear()


def test_the_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, kept: Path) -> None:
    assert cache_folder.folder() == kept
    monkeypatch.setenv("ONEPASS_CACHE_DIR", "~/somewhere")
    assert cache_folder.folder() == Path.home() / "somewhere"
    monkeypatch.delenv("ONEPASS_CACHE_DIR")
    assert cache_folder.folder().name in ("onepass", "Cache")
    assert cache_folder.folder().is_absolute()

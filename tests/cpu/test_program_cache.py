"""Machine code on the disk: compiled once, and right whatever becomes of the files."""

from __future__ import annotations

import ast
import errno
import hashlib
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import llvmlite
import pytest
from cached_program import SOURCE, TYPES, load
from llvmlite import binding
from onepass.backends.common import cache_folder
from onepass.backends.cpu.llvm import cache, machine_code
from onepass.backends.cpu.llvm.translate import TextError
from onepass.backends.ir.dtypes import INT64


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder, empty, with nothing loaded and nobody warned yet."""
    folder = tmp_path / "kept"
    monkeypatch.setenv("ONEPASS_CACHE_DIR", str(folder))
    monkeypatch.setattr(cache, "_addresses", {})
    monkeypatch.setattr(cache_folder, "_warned", False)
    with monkeypatch.context() as patched:
        patched.setattr(machine_code, "_engine", lambda: engines[-1])
        new_engine()
        yield folder


# A function of a name is loaded once into each. They own what compiles, so none may be deleted.
engines: list[Any] = []


def new_engine() -> None:
    engines.append(binding.create_mcjit_compiler(binding.parse_assembly(""), machine_code._target()))


def load_anew(source: str = SOURCE) -> bool:
    """Load, as in a process that has not loaded it yet, with the value checked; whether it was compiled."""
    cache._addresses.clear()
    new_engine()
    compiled, compile_text = [], cache._compiled

    def compile_and_count(*arguments: Any) -> bytes:
        compiled.append(arguments)
        return compile_text(*arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cache, "_compiled", compile_and_count)
        load(source)
    return bool(compiled)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut at the end": lambda content: content[:-7],
    "cut in half": lambda content: content[: len(content) // 2],
    "cut in the checksum": lambda content: content[:20],
    "empty": lambda content: b"",
    "zeros": lambda content: bytes(len(content)),
    "text": lambda content: b"<<<<<<< HEAD\n",
    "one bit": lambda content: content[:200] + bytes([content[200] ^ 4]) + content[201:],
    "longer": lambda content: content + b"\0",
    "another object file": lambda content: content[:32] + content[32:].replace(b"\x58", b"\x5c"),
    "without a checksum": lambda content: content[32:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_machine_code_is_made_anew(kept: Path, damage: str) -> None:
    assert load_anew()
    (path,) = files(kept)
    whole = path.read_bytes()
    path.write_bytes(DAMAGES[damage](whole))
    assert path.read_bytes() != whole
    assert load_anew()
    assert path.read_bytes() == whole
    assert not load_anew()


def test_a_lost_file_is_no_trouble(kept: Path) -> None:
    load_anew()
    files(kept)[0].unlink()
    assert load_anew()
    assert not load_anew()


def test_a_whole_file_of_another_program_is_not_run(kept: Path) -> None:
    """Its checksum is right for its own name alone."""
    load_anew()
    (path,) = files(kept)
    cache.load(SOURCE.replace("1.0", "2.0"), "entry", TYPES, "a program")
    (other,) = {*files(kept)} - {path}
    path.write_bytes(other.read_bytes())
    assert load_anew()
    assert not load_anew()


def test_an_old_file_with_a_checksum_of_the_code_alone_is_not_run(kept: Path) -> None:
    load_anew()
    (path,) = files(kept)
    code = path.read_bytes()[32:]
    path.write_bytes(hashlib.sha256(code).digest() + code)
    assert load_anew()


def test_a_folder_in_place_of_the_file(kept: Path) -> None:
    load_anew()
    (path,) = files(kept)
    path.unlink()
    path.mkdir()
    with pytest.warns(RuntimeWarning, match="cannot cache compiled programs"):
        assert load_anew()
    assert path.is_dir()


def test_a_folder_deleted_between_loads(kept: Path) -> None:
    first = load()
    shutil.rmtree(kept)
    assert load() == first
    assert load(SOURCE + "\n") != first
    assert len(files(kept)) == 1
    assert not load_anew(SOURCE + "\n")


def test_a_folder_deleted_while_writing(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, deleted = os.replace, []

    def lose_and_replace(source: Any, target: Any) -> None:
        if not deleted:
            deleted.append(target)
            shutil.rmtree(kept)
        replace(source, target)

    monkeypatch.setattr(os, "replace", lose_and_replace)
    assert load_anew()
    assert deleted
    assert not load_anew()


def test_a_full_disk(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = []

    def refuse(source: Any, target: Any) -> None:
        refused.append(target)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", refuse)
        with pytest.warns(RuntimeWarning, match="No space left"):
            assert load_anew()
        assert load_anew(SOURCE + "\n")  # warnings are errors here: the second says nothing
    assert len(refused) == 2
    assert not files(kept)
    assert load_anew()
    assert not load_anew()


def test_a_folder_that_may_not_be_written(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, content: bytes) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", refuse)
        with pytest.warns(RuntimeWarning, match="PermissionError.*Set ONEPASS_CACHE_DIR"):
            assert load_anew()
        assert load_anew(SOURCE + "\n")  # warnings are errors here: the second says nothing
    assert load_anew()
    assert not load_anew()


def test_a_folder_that_may_only_be_read(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_anew()

    def refuse(path: Path, content: bytes) -> int:
        raise PermissionError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert not load_anew()


def test_a_file_that_may_not_be_read(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_anew()

    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.warns(RuntimeWarning, match="PermissionError"):
        assert load_anew()


def test_errors_of_the_source_are_raised(kept: Path) -> None:
    for wrong, error in [
        (SOURCE.replace("x * x", "x * y"), TextError),
        (SOURCE.replace("return x", "retrun x"), SyntaxError),
        (SOURCE + "\nno_such_name\n", TextError),
        (SOURCE.replace("entry", "other"), TextError),
    ]:
        for _ in range(2):
            with pytest.raises(error):
                load(wrong)
    assert not files(kept)


def test_the_same_source_is_the_same_address(kept: Path) -> None:
    loaded: list[int] = []
    threads = [threading.Thread(target=lambda: loaded.append(load())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 4
    assert len(set(loaded)) == 1
    assert len(files(kept)) == 1


def test_names_make_safe_files(kept: Path) -> None:
    load(name="../a b/ü:" + 300 * "x")
    (path,) = files(kept)
    assert path.parent == kept
    assert path.name.isascii()
    assert len(path.name) < 100


def hashed(source: str = SOURCE) -> str:
    cache.helper_texts.cache_clear()
    return cache._hash(source)


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with copies of what makes machine code, which may be changed."""
    backends = Path(cache.__file__).parents[2]
    for helper in cache.HELPERS:
        copy = tmp_path / "backends" / helper
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((backends / helper).read_bytes())
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "backends" / "cpu" / "llvm" / "cache.py"))
    yield tmp_path / "backends"
    cache.helper_texts.cache_clear()


@pytest.mark.parametrize("helper", cache.HELPERS)
def test_a_change_of_a_helper_is_another_program(helpers: Path, helper: str) -> None:
    before = hashed()
    assert hashed() == before
    path = helpers / helper
    path.write_text(path.read_text() + "# changed\n")
    assert hashed() != before


def imported_by(path: Path, backends: Path) -> set[Path]:
    """The files of the backends that a file imports."""
    found: set[Path] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = path.parents[node.level - 1]
            module = folder.joinpath(*(node.module or "").split("."))
            candidates = [module.with_suffix(".py"), *(module / f"{name.name}.py" for name in node.names)]
            found |= {candidate for candidate in candidates if candidate.is_file()}
    return {file for file in found if file.is_relative_to(backends)}


def test_all_that_makes_machine_code_is_a_helper() -> None:
    """The files of the room, and what they import in turn; but for `common`, which leaves no machine code."""
    backends = Path(cache.__file__).parents[2]
    found = {path for path in Path(cache.__file__).parent.glob("*.py") if path.name != "__init__.py"}
    assert Path(cache.__file__) in found
    pending = set(found)
    while pending:
        pending = {file for path in pending for file in imported_by(path, backends)} - found
        pending = {path for path in pending if path.parent.name != "common"}
        found |= pending
    assert {path.relative_to(backends).as_posix() for path in found} == set(cache.HELPERS)
    assert len(set(cache.HELPERS)) == len(cache.HELPERS)


def test_what_machine_code_depends_on_is_in_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [hashed(), hashed(SOURCE + "\n")]
    for owner, name, value in [
        (sys.modules["onepass"], "__version__", "another"),
        (llvmlite, "__version__", "another"),
        (binding, "llvm_version_info", (1, 2, 3)),
        (sys, "platform", "another"),
        (machine_code, "processor", lambda: "another"),
        (machine_code, "features", lambda: "another"),
    ]:
        monkeypatch.setattr(owner, name, value)
        names.append(hashed())
    assert len(set(names)) == len(names) == 8


def test_the_types_and_the_function_are_in_the_name(kept: Path) -> None:
    text = "def entry(x):\n    pass\n\n\ndef other(x):\n    pass\n"
    addresses = [
        cache.load(text, "entry", (INT64,), "a program"),
        cache.load(text, "other", (INT64,), "a program"),
        cache.load(text, "entry", (TYPES[0],), "a program"),
        cache.load(text, "entry", (TYPES[1],), "a program"),
    ]
    assert len(set(addresses)) == 4
    assert len(files(kept)) == 4


def test_clear_deletes_what_is_ours(kept: Path) -> None:
    load_anew()
    others = [kept / "notes.o", kept / "a_program.o", kept / "below" / "a_program_0123456789abcdef01234567.o"]
    others[-1].parent.mkdir()
    for other in others:
        other.write_text("mine")
    (kept / ("a_program_0123456789abcdef01234567.0123.tmp")).write_text("left by a killed process")
    cache.clear()
    assert files(kept) == sorted(others)
    assert load_anew()
    shutil.rmtree(kept)
    cache.clear()


def test_the_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, kept: Path) -> None:
    assert cache_folder.folder() == kept
    monkeypatch.setenv("ONEPASS_CACHE_DIR", "~/somewhere")
    assert cache_folder.folder() == Path.home() / "somewhere"
    monkeypatch.delenv("ONEPASS_CACHE_DIR")
    assert cache_folder.folder().name in ("onepass", "Cache")
    assert cache_folder.folder().is_absolute()

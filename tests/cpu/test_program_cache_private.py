"""A folder that others can write into is not used: what lies in it would be run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cached_program import SOURCE
from test_program_cache import files, kept, load_anew

pytestmark = pytest.mark.skipif(not hasattr(os, "getuid"), reason="folders of Windows are the user's own")
__all__ = ["kept"]  # the fixture, which every test here uses


@pytest.fixture
def somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process runs as another user than the one that its files belong to."""
    monkeypatch.setattr(os, "getuid", lambda: 12345)


def load_in_memory(reason: str) -> None:
    """Load once, with one warning that gives the reason and says what to do."""
    with pytest.warns(RuntimeWarning, match=reason) as caught:
        assert load_anew()
    assert len(caught) == 1
    assert "chmod 700" in str(caught[0].message)
    assert "ONEPASS_CACHE_DIR" in str(caught[0].message)
    assert load_anew(SOURCE + "\n")  # warnings are errors here: the second says nothing


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o707, 0o1777, 0o720, 0o702])
def test_a_folder_that_others_can_write_is_not_used(kept: Path, mode: int) -> None:
    load_anew()
    before = {path: path.read_bytes() for path in files(kept)}
    kept.chmod(mode)
    load_in_memory(rf"NotPrivateError: .*kept is writable by other users, mode {mode:o}")
    assert {path: path.read_bytes() for path in files(kept)} == before
    kept.chmod(0o700)
    assert not load_anew()


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o711])
def test_a_folder_that_others_can_only_read_is_used(kept: Path, mode: int) -> None:
    kept.mkdir()
    kept.chmod(mode)
    load_anew()
    assert not load_anew()


def test_a_private_folder_below_one_for_everybody_is_used(tmp_path: Path, kept: Path) -> None:
    tmp_path.chmod(0o1777)
    load_anew()
    assert not load_anew()
    assert kept.stat().st_mode & 0o777 == 0o700


def test_a_folder_of_somebody_else_is_not_used(kept: Path, somebody_else: None) -> None:
    kept.mkdir()
    load_in_memory(rf"NotPrivateError: .*kept belongs to user {os.geteuid()}, not to user 12345")
    assert not files(kept)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_a_file_of_somebody_else_is_not_run(kept: Path) -> None:
    load_anew()
    (path,) = files(kept)
    path.chmod(0o666)
    assert not load_anew()
    os.chown(path, 12345, -1)
    load_in_memory(r"NotPrivateError: .*\.o belongs to user 12345, not to user 0")

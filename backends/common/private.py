"""Whether files of a folder are safe to run as code: only if no other user can have written them."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class NotPrivateError(OSError):
    """Another user can write into a folder, or owns a file in it."""


def require_private(folder: Path, files: str = "", *, parent_may_protect: bool = False) -> None:
    """Raise a NotPrivateError unless this user owns `folder` and no other user can write into it.

    files:  a glob pattern; this user must own the matching files in the folder too
    parent_may_protect: accept write permission for others if they cannot enter the parent folder
    raises: OSError if the folder does not exist
    """
    if not hasattr(os, "getuid"):  # Windows: the folders of a user are private
        return
    found = os.stat(folder)
    _require_owner(folder, found)
    writable = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if writable and parent_may_protect:
        writable = os.stat(folder.parent).st_mode & (stat.S_IXGRP | stat.S_IXOTH)
    if writable:
        mode = stat.S_IMODE(found.st_mode)
        raise NotPrivateError(f"{folder} is writable by other users, mode {mode:03o}")
    for path in folder.glob(files) if files else ():
        _require_owner(path, os.stat(path))


def _require_owner(path: Path, found: os.stat_result) -> None:
    if {os.getuid(), os.geteuid()} != {found.st_uid}:
        raise NotPrivateError(f"{path} belongs to user {found.st_uid}, not to user {os.getuid()}")

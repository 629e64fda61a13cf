"""Whether the files of a folder can be run as code: only where nobody else can have put them there."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class NotPrivateError(OSError):
    """A folder that somebody else can write into, or has written into."""


def require_private(folder: Path, files: str = "", *, may_lie_in_closed: bool = False) -> None:
    """Raise a NotPrivateError unless `folder` is this user's, and nobody else can write into it.

    files: a pattern; the files in the folder that match it must belong to this user too
    may_lie_in_closed: others may have the permission if they have none for the folder that this one lies in
    raises: OSError where the folder is not there
    """
    if not hasattr(os, "getuid"):  # Windows, where a user's folders are the user's own
        return
    found = os.stat(folder)
    _require_owner(folder, found)
    writable = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if writable and may_lie_in_closed:
        writable = os.stat(folder.parent).st_mode & (stat.S_IXGRP | stat.S_IXOTH)
    if writable:
        mode = stat.S_IMODE(found.st_mode)
        raise NotPrivateError(f"{folder} can be written by other users, mode {mode:03o}")
    for path in folder.glob(files) if files else ():
        _require_owner(path, os.stat(path))


def _require_owner(path: Path, found: os.stat_result) -> None:
    if {os.getuid(), os.geteuid()} != {found.st_uid}:
        raise NotPrivateError(f"{path} belongs to user {found.st_uid}, not to user {os.getuid()}")

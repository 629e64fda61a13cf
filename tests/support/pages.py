"""The fenced blocks of pages written in Markdown."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def blocks(page: Path, *languages: str) -> list[str]:
    """The blocks whose first line is one of ```language, in their order."""
    names = "|".join(map(re.escape, languages))
    return re.findall(rf"```(?:{names})\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)

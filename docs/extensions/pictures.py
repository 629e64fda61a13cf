"""The examples in the gallery: each writes its picture to a file, which Sphinx-Gallery shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx_gallery.scrapers import figure_rst

# What an example gets beside the name of its picture.
OPTIONS = {"torch_head.py": ["--steps", "3"]}


def arguments(gallery_conf: dict[str, Any], script_vars: dict[str, Any]) -> list[str]:
    """The command line of an example, which runs in its own folder."""
    script = Path(script_vars["src_file"])
    return ["--output", f"{script.stem}.png", *OPTIONS.get(script.name, [])]


def moved(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Move the picture that the example has written to the gallery; the text that shows it."""
    written = Path(block_vars["src_file"]).with_suffix(".png")
    if not written.exists():
        return ""
    picture = Path(next(block_vars["image_path_iterator"]))
    written.replace(picture)
    return str(figure_rst([str(picture)], gallery_conf["src_dir"]))

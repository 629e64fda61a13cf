"""The settings of the site: `python -m sphinx docs docs/_build/html`."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import onepass

sys.path.insert(0, str(Path(__file__).parent / "extensions"))
HAS_TORCH = importlib.util.find_spec("torch") is not None

project = "onepass"
author = copyright = "the onepass developers"  # noqa: A001 - Sphinx's name
version = release = onepass.__version__

extensions = [
    "docstrings",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
default_role = "py:obj"  # a name in backticks: a link where the site has it, otherwise code
highlight_language = "none"
myst_heading_anchors = 3

# The docstrings have shapes and dtypes, which say more than types.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_mock_imports = [] if HAS_TORCH else ["torch"]

html_theme = "furo"
html_title = f"onepass {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False

# Without PyTorch, the examples that compare with it are shown and not run.
runs_here = r"/(?!\w*torch\w*\.py)\w+\.py$" if not HAS_TORCH else r"\.py$"
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": runs_here,
    "ignore_pattern": r"(common|checkpoints|datasets)\.py$",
    "within_subsection_order": "FileNameSortKey",
    "reset_argv": "pictures.arguments",
    "image_scrapers": ("pictures.moved",),
    "reference_url": {"onepass": None},
    "doc_module": ("onepass",),
    "backreferences_dir": "gallery/used_by",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
}


def module_with_source(app: Any, module: str, name: str) -> str | None:
    """The module in which a function of the public API is written, for the links to the sources."""
    found = import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return getattr(inspect.unwrap(found), "__module__", None) if callable(found) else None


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("viewcode-follow-imported", module_with_source)

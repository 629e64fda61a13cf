"""The summary at the end of the log: counts of tests, failed tests, and result files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

MOST_FAILED = 15


def lines(output: Path) -> Iterator[str]:
    for name in ("junit.xml", "junit-use.xml"):
        yield from _tests(output / name)
    yield from _failed(output / "failed.txt")
    yield from (
        f"{path.stat().st_size:>9} {path.name}" for path in sorted(output.iterdir()) if path.is_file()
    )


def _tests(path: Path) -> Iterator[str]:
    if not path.exists():
        return
    try:
        suites = list(ElementTree.parse(path).getroot().iter("testsuite"))
    except ElementTree.ParseError as error:
        yield f"{path.name}: {error}"
        return
    for suite in suites:
        counts = (f"{name} {suite.get(name)}" for name in ("tests", "failures", "errors", "skipped", "time"))
        yield f"{path.name}: {', '.join(counts)}"


def _failed(path: Path) -> Iterator[str]:
    """How often each test function failed, without its parameters."""
    if not path.exists():
        return
    found = path.read_text().splitlines()
    names = Counter(line.partition(" ")[2].partition(" :: ")[0].partition("[")[0] for line in found)
    yield f"failed: {len(found)}"
    yield from (f"{count:>7} {name}" for name, count in names.most_common(MOST_FAILED))

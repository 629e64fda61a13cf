"""What keeps processors awake during a benchmark: it gives way to everything, and ends with it."""

from __future__ import annotations

import os
import subprocess
import time
from typing import Any

import pytest

from bench import awake

pytestmark = pytest.mark.skipif(not awake.can_keep_awake(), reason="needs SCHED_IDLE")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The processes that are started."""
    found: list[Any] = []
    real = subprocess.Popen

    def watched(*arguments: Any, **options: Any) -> Any:
        found.append(real(*arguments, **options))
        return found[-1]

    monkeypatch.setattr(awake.subprocess, "Popen", watched)  # type: ignore[attr-defined]
    return found


def test_one_process_for_each_processor_at_the_lowest_priority(started: list[Any]) -> None:
    with awake.processors():
        assert len(started) == len(os.sched_getaffinity(0))
        deadline = time.monotonic() + 10
        for process in started:
            while os.sched_getscheduler(process.pid) != os.SCHED_IDLE and time.monotonic() < deadline:
                time.sleep(0.01)
            assert os.sched_getscheduler(process.pid) == os.SCHED_IDLE
        places = [os.sched_getaffinity(process.pid) for process in started]
        assert sorted(map(sorted, places)) == [[number] for number in sorted(os.sched_getaffinity(0))]
    assert all(process.poll() is not None for process in started)


def test_an_error_ends_them_too(started: list[Any]) -> None:
    with pytest.raises(KeyError), awake.processors():
        raise KeyError
    assert started
    assert all(process.poll() is not None for process in started)


def test_without_such_a_priority_nothing_is_started(
    started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(awake, "can_keep_awake", lambda: False)
    with awake.processors():
        assert not started

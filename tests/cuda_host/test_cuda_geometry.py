"""How threads share rows on a GPU: by the length of a row, and no more clusters than the device holds."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import pytest
from onepass.backends.cuda import clusters as cuda_clusters
from onepass.backends.cuda import launch_shapes as geometry

# Columns, registers a column, elements of a vector, capability: threads, blocks and vectors of a thread.
CHOICES = [
    ((10, 2, 2, 90), (128, 1, 1)),
    ((1000, 2, 4, 90), (64, 1, 4)),
    ((1000, 1.5, 8, 90), (128, 1, 4)),
    ((8192, 2, 4, 90), (512, 1, 4)),
    ((8192, 1.5, 8, 90), (256, 1, 4)),
    ((16384, 2, 4, 90), (512, 2, 4)),
    ((16384, 2, 4, 80), (1024, 1, 4)),
    ((32000, 1.5, 8, 90), (512, 2, 4)),
    ((131072, 1.5, 8, 90), (512, 8, 4)),
    ((131072, 2, 4, 90), (1024, 8, 4)),
    ((131072, 2, 4, 80), (1024, 1, 0)),
    ((1_000_000, 2, 4, 90), (1024, 1, 0)),
]


@pytest.mark.parametrize(("row", "expected"), CHOICES, ids=str)
def test_threads_of_a_row(row: Any, expected: Any) -> None:
    shape = geometry.for_rows(*row)
    assert (shape.threads, shape.cluster, shape.items) == expected
    columns, _, vector, _ = row
    if shape.items:
        assert shape.lanes * shape.items * vector >= columns


def test_the_grid_is_as_many_clusters_as_are_resident() -> None:
    large, small = geometry.for_rows(131072, 2, 4, 90), geometry.for_rows(131072, 1.5, 8, 90)
    half = geometry.for_rows(65536, 1.5, 8, 90)
    for sums in (False, True):
        assert geometry.blocks(4096, large, 132, 15, sums=sums) == 15 * 8
        assert geometry.blocks(4096, small, 132, 15, sums=sums) == 2 * 15 * 8
        assert (half.threads, half.cluster) == (512, 4)
        assert geometry.blocks(4096, half, 132, 15, sums=sums) == 2 * 2 * 15 * 4
        assert geometry.blocks(3, large, 132, 15, sums=sums) == 3 * 8
        assert geometry.blocks(3, large, 132, 0, sums=sums) == 8


class Driver:
    """What `clusters_at_once` needs of CuPy and of the driver, which has `answer` for it."""

    CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8
    attributes = {"MultiProcessorCount": 132, "MaxSharedMemoryPerBlockOptin": 232448}  # noqa: RUF012

    def __init__(self, answer: int, status: int = 0) -> None:
        self.answer, self.status = answer, status
        self.configs: list[Any] = []
        self.shared: list[tuple[int, int, int]] = []
        module = SimpleNamespace(load=lambda code: None, get_function=lambda name: SimpleNamespace(ptr=7))
        self.cuda = SimpleNamespace(driver=self, Module=lambda: module)

    def funcSetAttribute(self, *given: int) -> None:  # noqa: N802
        self.shared.append(given)  # type: ignore[arg-type]

    def cuOccupancyMaxActiveClusters(self, found: Any, function: Any, config: Any) -> int:  # noqa: N802
        asked = config._obj
        attribute = asked.attributes[0]
        self.configs.append((*asked.block, asked.shared, attribute.id, *attribute.value[:3]))
        found._obj.value = self.answer
        return self.status


def asked(monkeypatch: pytest.MonkeyPatch, driver: Driver, capability: int = 90) -> int:
    monkeypatch.setattr(cuda_clusters, "machine_code", lambda *_: b"")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    return cuda_clusters.clusters_at_once(driver, driver, capability)


def test_the_driver_is_asked_for_blocks_that_fill_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(15)
    assert asked(monkeypatch, driver) == 15
    assert driver.shared == [(7, 8, 232448)]
    assert driver.configs == [(1024, 1, 1, 232448, 4, 8, 1, 1)]


def test_where_the_driver_does_not_say_there_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, Driver(15, status=1)) == 132 // 9
    assert asked(monkeypatch, Driver(0)) == 1
    assert asked(monkeypatch, Driver(15), capability=80) == 0

"""The tests of a GPU in use that ask no clock, over real CuPy arrays on the host: streams, graphs, memory."""

from __future__ import annotations

from typing import Any

import gpu_programs
import pytest
import test_gpu_graphs
import test_gpu_memory
import test_gpu_use

recorded, graphs = test_gpu_graphs.recorded, test_gpu_graphs.graphs


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer rows: the host takes one thread after the other."""

    def smaller(rows: int = 300, seed: int = 0) -> Any:
        return gpu_programs.network(min(rows, 100), seed)

    monkeypatch.setattr(test_gpu_use, "network", smaller)


test_two_streams_at_once = test_gpu_use.test_two_streams_at_once
test_threads_give_the_bits_of_one = test_gpu_use.test_threads_with_a_stream_each_give_the_bits_of_one
test_a_loop_of_adam = test_gpu_use.test_a_loop_of_adam
test_a_second_device = test_gpu_use.test_a_second_device
test_a_step_that_repeats = test_gpu_graphs.test_a_step_that_repeats_is_a_graph_and_its_numbers_are_honoured
test_what_is_recorded_leaves_memory_alone = test_gpu_graphs.test_what_is_recorded_leaves_other_memory_alone
test_many_addresses_are_replayed = test_gpu_graphs.test_many_addresses_in_rotation_are_replayed
test_what_the_caller_records = test_gpu_graphs.test_what_the_caller_records_is_part_of_that
test_donated_memory_is_taken = test_gpu_memory.test_donated_memory_is_taken_and_nothing_else

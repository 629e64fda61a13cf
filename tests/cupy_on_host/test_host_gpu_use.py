"""The tests of a GPU in use that ask no clock, over real CuPy arrays on the host: streams, graphs, memory."""

from __future__ import annotations

import test_gpu_memory
import test_gpu_use

recorded = test_gpu_use.recorded

test_two_streams_at_once = test_gpu_use.test_two_streams_at_once
test_threads_give_the_bits_of_one = test_gpu_use.test_threads_with_a_stream_each_give_the_bits_of_one
test_a_second_device = test_gpu_use.test_a_second_device
test_a_step_that_repeats = test_gpu_use.test_a_step_that_repeats_is_a_graph_and_its_numbers_are_honoured
test_what_is_recorded_leaves_other_memory_alone = test_gpu_use.test_what_is_recorded_leaves_other_memory_alone
test_donated_memory_is_taken = test_gpu_memory.test_donated_memory_is_taken_and_nothing_else
test_out_is_written = test_gpu_memory.test_out_is_written

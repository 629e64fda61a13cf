"""How the threads of a GPU share the rows of a loop."""

from __future__ import annotations

from dataclasses import dataclass

WARP = 32
MOST_THREADS, MOST_CLUSTER = 1024, 8  # of a block; blocks of a cluster that every device of 9.0 on can hold
FLAT_THREADS = 256
SHORT_THREADS = 128  # of a block where a warp, or part of one, has a row
VECTOR_BYTES = 16
CLUSTERS = 90  # the compute capability from which on there are clusters


@dataclass(frozen=True)
class LaunchShape:
    """The shape of one kernel, known when it is compiled.

    threads: of a block
    group:   threads of a block that share a row: 1, 2, 4, ... 32 lanes of a warp, or all of the block
    items:   vectors of a row that each thread keeps in registers; 0: the row is read anew in every pass
    vector:  elements that are loaded at once
    cluster: blocks that share a row
    flat:    there are no rows, only numbers: each thread has a vector of them at a time
    """

    threads: int
    group: int
    items: int
    vector: int
    cluster: int = 1
    flat: bool = False

    @property
    def rows(self) -> int:
        """Rows that a block has at once."""
        return self.threads // self.group

    @property
    def lanes(self) -> int:
        """Threads that share a row."""
        return self.group * self.cluster

    @property
    def blocks_at_once(self) -> int:
        """Blocks of a cluster's that a processor has registers for: of threads with 64 each."""
        return max(1, MOST_THREADS // self.threads) if self.cluster > 1 else 1

    @property
    def shared(self) -> int:
        """Bytes of shared memory: two halves, each a slot for every warp and block of a cluster."""
        blocks = self.cluster + 1 if self.cluster > 1 else 0  # and a mailbox
        return 2 * 8 * (self.threads // WARP + blocks)


def flat(vector: int) -> LaunchShape:
    """For a loop over numbers, where nothing has columns."""
    return LaunchShape(FLAT_THREADS, 1, 1, vector, flat=True)


def for_rows(columns: int, kept: float, vector: int, capability: int) -> LaunchShape:
    """For a loop over rows.

    columns: of the longest dimension of a row
    kept:    registers that a column's values take from pass to pass; of 8 bytes three each, of halves a half
    vector:  elements that may be loaded at once, by their alignment
    """
    # Sixteen numbers a thread hide the latency of memory, or of halves, which come eight at a time, 32.
    numbers = 16 if kept <= 2 else 8 if kept <= 4 else 4 if kept <= 8 else 1
    fewer = max(1, numbers // vector)
    items = 2 * fewer if vector > 4 else fewer
    vectors = -(-columns // vector)
    if vectors <= WARP * items:
        group = min(WARP, _power_of_two(vectors))
        return LaunchShape(SHORT_THREADS, group, -(-vectors // group), vector)
    # Two blocks on a processor are better than one: one waits for memory or for the others of its cluster
    # while the other computes. So blocks of 1024 threads, which are alone, come last.
    for most_threads, most_items in ((MOST_THREADS // 2, items), (MOST_THREADS, fewer)):
        lanes = max(2 * WARP, _power_of_two(-(-vectors // most_items)))
        threads = min(most_threads, lanes)
        cluster = lanes // threads
        if cluster == 1 or (capability >= CLUSTERS and cluster <= MOST_CLUSTER):
            return LaunchShape(threads, threads, -(-vectors // lanes), vector, cluster)
    return LaunchShape(MOST_THREADS, MOST_THREADS, 0, vector)


def blocks(rows: int, shape: LaunchShape, processors: int, clusters: int, *, sums: bool) -> int:
    """The grid. Loops that add up over the rows leave one part a group, so they take no more than fit.

    clusters: the largest clusters of the largest blocks that the device holds at once
    """
    at_once = shape.rows * (shape.vector if shape.flat else 1)
    needed = -(-rows // at_once) if rows else 0
    if shape.cluster > 1:
        # More than are resident would wait for the slowest: all take the same number of rows.
        resident = clusters * (MOST_CLUSTER // shape.cluster) * shape.blocks_at_once
        return shape.cluster * min(needed, max(1, resident))
    resident = processors * (2 * MOST_THREADS // shape.threads)
    return min(needed, resident if sums else 16 * resident)


def _power_of_two(number: int) -> int:
    """The smallest power of two that is no less."""
    return 1 << max(0, number - 1).bit_length()

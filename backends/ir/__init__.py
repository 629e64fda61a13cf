"""The graph of a kernel: nodes of a closed table of operations on axes, and facts that follow from it."""

"""NumPy programs: a graph becomes calls of NumPy with planned memory, block by block over the rows."""

"""A plan becomes CUDA kernels: their text, their launches, and CuPy's device."""

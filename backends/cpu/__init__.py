"""A plan becomes a program of Numba's: its text, its machine code, and its calls."""

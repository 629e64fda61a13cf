"""A small program as the compiler might emit it, for the tests of the folder of machine code."""

SOURCE = '''"""What a compiler might emit."""
from numba import cfunc, njit


@njit("float64(float64)", cache=CACHE)
def square(x):
    return x * x


@cfunc("float64(float64)", cache=CACHE)
def entry(x):
    return square(x) + 1.0
'''

"""From the text of a program to machine code: values, operations, functions, optimisation, the cache."""

"""A plan becomes a program for the CPU: its text, its machine code, and its calls."""

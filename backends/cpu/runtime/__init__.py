"""What compiled programs stand on: the cache of machine code, threads, BLAS, vector maths, memory."""

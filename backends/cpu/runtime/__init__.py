"""What compiled programs need at run time: cached machine code, threads, BLAS, vector maths, memory."""

"""Collective operations over MPI and NCCL."""

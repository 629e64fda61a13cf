"""Collectives over MPI and NCCL."""

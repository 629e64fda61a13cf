"""Traces a function: takes a function and a call, gives a graph and the guards under which it is valid."""

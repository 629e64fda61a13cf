"""A user's function becomes a graph: symbolic arrays, their namespace and operators, and guards."""

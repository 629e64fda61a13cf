"""A graph becomes a plan: simplified, scheduled into stages, fused into loops, placed in memory."""

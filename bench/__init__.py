"""Benchmarks of onepass against other libraries. Run `python -m bench` in the root of a checkout."""

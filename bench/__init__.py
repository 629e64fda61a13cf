"""Benchmarks of onepass against what a user would pick instead; `python -m bench` from the checkout."""

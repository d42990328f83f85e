"""Benchmarks: figures as ratios within one run against the same lab. `python -m bench`."""

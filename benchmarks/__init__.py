"""Benchmarks: the same work in Ergon, in other engines, and bare on their stores. `python -m benchmarks.run --help`."""

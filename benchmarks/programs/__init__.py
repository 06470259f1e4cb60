"""One program per system, run in that system's own environment: `python -m benchmarks.programs.NAME WORK COUNT`."""

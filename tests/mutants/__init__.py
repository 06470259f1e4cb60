"""Deliberate breaks of the protocol, each with the rig that has to notice it: `python -m tests.mutants.run`."""

"""The `ergon` command. This file owns the version, and imports nothing: `ergon --version` is to be quick."""

__version__ = "0.1.0"

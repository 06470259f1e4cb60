"""docs/mutants.md: every mutant, the rule it breaks and the rig that kills it. Written by the table, never by hand."""

from __future__ import annotations

from tests.mutants import histories
from tests.mutants.all import everything
from tests.mutants.mutant import ROOT

PAGE = ROOT / "docs" / "mutants.md"
_HEAD = """\
# Mutants: does anybody notice?

A test that cannot fail proves nothing. So the rules of [protocol.md](protocol.md) are broken on purpose, one at a time,
and a named rig has to notice each break. `python -m tests.mutants.run` does that in a copy of the checkout, and fails
if one break goes unnoticed; `--rigs` first sees that every rig passes when nothing is broken. A name alone runs one,
the beginning of names several: `python -m tests.mutants.run sqlite_`.

This page is written by `python -m tests.mutants.run --page`, and a test compares it with the table.
"""
_SOURCE = """
## Broken source

Each replaces a few words of the code, of a query or of a script. The rules are those of [protocol.md](protocol.md);
`cli`, `codec` and `schema` are promises of [interface.md](interface.md).

| Mutant | Rule | What is broken | Killed by |
|---|---|---|---|
"""
_PLANTED = """
## Planted in the simulation

These are planted in memory (`tests/simulation/mutants*.py`), most of them while histories are simulated:
`python -m tests.mutants.run NAME` takes one history after the other until one of them notices.

| Mutant | Rule | What is broken | Killed by |
|---|---|---|---|
"""


def text() -> str:
    """The whole page."""
    known = list(everything())
    source = (f"| `{e.name}` | {e.rule} | {_cell(e.what)} | `{_cell(e.killer)}` |\n" for e in known if e.source)
    planted = (f"| `{e.name}` | {e.rule} | {_cell(e.what)} | {_rig(e.name)} |\n" for e in known if not e.source)
    return "".join((_HEAD, _SOURCE, *source, _PLANTED, *planted))


def _rig(planted: str) -> str:
    return f"`{histories.SELDOM[planted]}`" if planted in histories.SELDOM else "the simulation"


def _cell(said: str) -> str:
    return said.replace("|", "\\|")

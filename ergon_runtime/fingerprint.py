"""The fingerprint of the code that a worker runs: flows that diverged under it are passed over until it changes (P4).

It covers what a deployment changes: every module loaded from a file outside the interpreter's library folders, and the
packages that the flow types live in, wherever those are.
"""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from ergon_runtime.core.machine import ENGINE
from ergon_runtime.definitions import FlowDefinition

_LIBRARIES = tuple({f"{sysconfig.get_path(kind)}/" for kind in ("stdlib", "platstdlib", "purelib", "platlib")})


def fingerprint(definitions: Iterable[FlowDefinition], *settings: object) -> str:
    """Names the code behind these flow types, the engine's and Python's versions, and the `settings` that matter."""
    roots = {definition.module.partition(".")[0] for definition in definitions}
    digest = hashlib.blake2b(f"{ENGINE} {sys.version_info[:2]} {settings}".encode(), digest_size=8)
    for name, path in _sources():
        if name.partition(".")[0] in roots or not path.startswith(_LIBRARIES):
            digest.update(name.encode())
            digest.update(_read(Path(path)))
    return digest.hexdigest()


def _sources() -> Iterator[tuple[str, str]]:
    """The modules that are loaded now, by name, and their files."""
    for name, module in sorted(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and path.endswith(".py"):
            yield name, path


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""

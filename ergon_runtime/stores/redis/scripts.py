"""The Lua scripts, one per operation of the contract: each file's text after what they share, and its SHA-1."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files

_FOLDER = files("ergon_runtime.stores.redis") / "lua"
_SHARED = (_FOLDER / "lib.lua").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class Script:
    """A script as the server knows it. `idempotent`: sent again after a lost answer, it does no harm."""

    name: str
    text: str
    sha: str
    idempotent: bool = True


def _read(name: str, *, idempotent: bool = True) -> Script:
    text = _SHARED + (_FOLDER / f"{name}.lua").read_text("utf-8")
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(), idempotent)


OPEN = _read("open")
ARRIVE = _read("arrive")
CREATE = _read("create")
CLAIM = _read("claim", idempotent=False)
"""A claim whose answer was lost has leased flows to nobody; they wait for the lease's end."""
COMMIT = _read("commit")
EXTEND = _read("extend")
SEND = _read("send")
GET = _read("get")
JOURNAL = _read("journal")
LIST = _read("list")
WORKERS = _read("workers")
NOW = _read("now")
HEARD = _read("heard")
PRUNE = _read("prune")
COUNT = _read("count")
PIECES = _read("pieces")
RESTORE = _read("restore")
COPY = _read("copy")
KEYS = _read("keys")
VERIFY = _read("verify")

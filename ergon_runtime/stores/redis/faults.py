"""What Redis' errors mean to us: come back later, or tell a person. Never a failed flow.

An error inside a script arrives as a plain ResponseError on some versions, so its text decides, not its class.
"""

from __future__ import annotations

import asyncio

from redis.exceptions import AuthenticationError, ConnectionError, RedisError, ResponseError, TimeoutError

from ergon_runtime.errors import StoreCorrupt, StoreError, StoreUnavailable

_PASSING = {
    "LOADING": "the server is still loading its data",
    "BUSY": "the server is busy with a script",
    "READONLY": "the server is a replica, which takes no writes",
    "MASTERDOWN": "the server has lost its master",
    "CLUSTERDOWN": "the cluster is down",
    "TRYAGAIN": "the cluster is moving keys",
    "MOVED": "the cluster has moved the keys",
    "ASK": "the cluster is moving keys",
    "NOREPLICAS": "the server has too few replicas to take writes",
    "UNBLOCKED": "the server has changed its role",
    "OOM": "the server is out of memory (maxmemory): make room, or raise it",
    "MISCONF": "the server cannot write its data to disk: look at its log and its disk",
}
_STAYS = {code: _PASSING[code] for code in ("LOADING", "BUSY", "NOREPLICAS", "OOM", "MISCONF")}
_REFUSED = {
    "NOAUTH": "the server wants a password: put it into the store's address",
    "WRONGPASS": "the server does not know this user and password",
    "NOPERM": "the user lacks a right: see the ACL rules in the documentation",
}


def is_elsewhere(error: BaseException) -> bool:
    """Whether a new connection may find a server that does better."""
    return is_passing(error) and _code(error, _STAYS) is None


def is_passing(error: BaseException) -> bool:
    """Whether the call may do better a moment later."""
    if isinstance(error, AuthenticationError):
        return False
    if isinstance(error, ConnectionError | TimeoutError | asyncio.TimeoutError | OSError):
        return True
    return _code(error, _PASSING) is not None


def translate(error: BaseException, url: str) -> StoreError:
    """The error of ours that says the same."""
    said = str(error)
    for known in (_PASSING, _REFUSED):
        code = _code(error, known)
        if code is not None:
            return StoreUnavailable(f"store {url}: {known[code]} ({said})")
    if isinstance(error, ConnectionError | TimeoutError | asyncio.TimeoutError | OSError):
        return StoreUnavailable(f"store {url} cannot be reached: {said or type(error).__name__}")
    if isinstance(error, ResponseError) and "WRONGTYPE" in said:
        return StoreCorrupt(f"store {url}: a key is of another kind; choose a namespace of its own ({said})")
    if isinstance(error, RedisError):
        return StoreError(f"store {url}: {said}")
    raise error


def _code(error: BaseException, known: dict[str, str]) -> str | None:
    """The code that the text begins with, or has after the script's name."""
    words = str(error).replace(":", " ").replace("-", " ").split()
    if isinstance(error, RedisError):
        named = type(error).__name__.removesuffix("Error").upper()
        words.insert(0, {"BUSYLOADING": "LOADING", "OUTOFMEMORY": "OOM", "NOPERMISSION": "NOPERM"}.get(named, ""))
    return next((word for word in words if word in known), None)

"""What Redis' errors mean to us: come back later, or tell a person. Never a failed flow.

An error inside a script arrives as a plain ResponseError on some versions, so its code decides, not its class. Every
message names the cause and what to do.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from redis.exceptions import AuthenticationError, InvalidResponse, RedisError, ResponseError
from redis.exceptions import ConnectionError as Unreached
from redis.exceptions import TimeoutError as Silence

from ergon_runtime.errors import StoreCorrupt, StoreError, StoreUnavailable

_STAYS: Mapping[str, str] = {
    "LOADING": "the server is still loading its data; wait",
    "BUSY": "the server is busy with a script: wait, or end it with SCRIPT KILL (SHUTDOWN NOSAVE if it has written)",
    "NOREPLICAS": "the server has too few replicas to take writes: start them, or change min-replicas-to-write",
    "OOM": "the server is out of memory: make room, or raise maxmemory",
    "MISCONF": "the server cannot write its data to disk: look at its log and its disk",
    "NOSCRIPT": "the server has forgotten a script; it is loaded again",
}
"""Codes of what passes on the same server."""
_ELSEWHERE: Mapping[str, str] = {
    "READONLY": "the server is a replica, which takes no writes: name the master, or its sentinels",
    "MASTERDOWN": "the server is a replica that has lost its master: name the master, or its sentinels",
    "UNBLOCKED": "the server has changed its role; the new master is looked for",
    "CLUSTERDOWN": "the cluster is down: look at its nodes with CLUSTER INFO",
    "TRYAGAIN": "the cluster is moving the namespace's slot; wait",
    "MOVED": "the node does not have the namespace's slot: name the nodes with redis+cluster://",
    "ASK": "the cluster is moving the namespace's slot; wait",
}
"""Codes of what passes where another server may do better, which a new connection finds."""
_REFUSED: Mapping[str, str] = {
    "NOAUTH": "the server wants a password: put it into the store's address, redis://user:password@host",
    "WRONGPASS": "the server does not take this user and password: correct them in the store's address",
    "NOPERM": "the user lacks a right: give it the rule in docs/redis.md, Rights",
    "AUTH": "the server has no password for this user: take it out of the store's address",
}
"""Codes of what a person must put right."""
_TLS: Mapping[str, str] = {
    "CERTIFICATE_VERIFY_FAILED": "the server's certificate is not trusted: name its CA's file with ?ca=, and the host"
    " as the certificate does",
    "WRONG_VERSION_NUMBER": "the server speaks no TLS on this port: write redis://, or the TLS port",
}
GONE = "ERGONGONE"
"""What a script answers that finds another store, or none."""


def is_elsewhere(error: BaseException) -> bool:
    """Whether a new connection may find a server that does better."""
    return code(error) in _ELSEWHERE


def is_passing(error: BaseException) -> bool:
    """Whether the call may do better a moment later."""
    found = code(error)
    if isinstance(_bare(error), AuthenticationError) or found in _REFUSED or _tls(error):
        return False
    return found in _STAYS or found in _ELSEWHERE or _is_outage(error)


def is_reply(error: BaseException) -> bool:
    """Whether the server itself refused, so that nothing was done."""
    return isinstance(error, ResponseError)


@contextmanager
def understood() -> Generator[None]:
    """Around the reading of an answer: whatever it is not, it is an InvalidResponse."""
    try:
        yield
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise InvalidResponse(f"{type(error).__name__}: {error}") from error


def translate(error: Exception, url: str) -> StoreError:
    """The error of ours that says the same. Raises the error itself if it is none of Redis or the system."""
    said, found = str(error), code(error)
    if found == GONE:
        return gone(url)
    for known in (_STAYS, _ELSEWHERE, _REFUSED):
        if found in known:
            return StoreUnavailable(f"store {url}: {known[found]} ({said})")
    if why := _tls(error):
        return StoreUnavailable(f"store {url}: {why} ({said})")
    if _is_outage(error):
        tls = url.startswith("rediss")
        check = "that the server runs, and that it speaks TLS there" if tls else "and that the server runs"
        return StoreUnavailable(
            f"store {url} cannot be reached: {said.rstrip('.') or type(error).__name__}; check the address, {check}"
        )
    if isinstance(error, ResponseError) and "WRONGTYPE" in said:
        return StoreCorrupt(f"store {url}: a key is of another kind; choose a namespace of its own ({said})")
    if isinstance(error, InvalidResponse):
        check = "check the address, and what is between here and the server"
        return StoreCorrupt(f"store {url} does not answer as a store of ours does; {check} ({said})")
    if isinstance(error, RedisError):
        return StoreError(f"store {url}: {said}")
    raise error


def gone(url: str) -> StoreCorrupt:
    """For a server that has not the store that was opened."""
    return StoreCorrupt(
        f"store {url} is gone, or another is in its place: the server was emptied or swapped."
        " Restore it, or stop the workers before they begin a new one"
    )


def _bare(error: BaseException) -> BaseException:
    """redis-py wraps it as an outage when a new connection's user and password are refused."""
    return error.__cause__ if isinstance(error.__cause__, AuthenticationError) else error


def code(error: BaseException) -> str:
    """The known code that an error of the server begins with, or has after its script's name; '' without one."""
    error = _bare(error)
    if not isinstance(error, RedisError):
        return ""
    if isinstance(error, AuthenticationError) and getattr(error, "status_code", None) in {None, "ERR"}:
        return "AUTH"
    if any(sign in str(error) for sign in _NO_RIGHT):
        return "NOPERM"
    words = str(error).replace(":", " ").replace("-", " ").split()
    words.insert(0, str(getattr(error, "status_code", "")))  # redis-py takes some codes off the text
    return next((word for word in words if word in _CODES), "")


_NO_RIGHT = ("user executing the script can't", "has no permissions to")
"""What servers say of rights without a code: inside scripts, and while redis-py connects."""
_CODES = frozenset({GONE, *_STAYS, *_ELSEWHERE, *_REFUSED})


def _is_outage(error: BaseException) -> bool:
    return isinstance(error, Unreached | Silence | OSError)


def _tls(error: BaseException) -> str:
    said = str(error)
    return next((why for sign, why in _TLS.items() if sign in said), "")

"""Payloads that cannot be read, and why: encrypted ones without their key, and what stands for others in their place.

What Ergon stores are JSON texts, so none begins with a NUL. What does is either encrypted (`ENCRYPTED`, then the kind,
the length of the key's id, and that id) or a reason, put in its place by the store that could not decrypt it. Nobody
takes either for a value, and neither is ever written.
"""

from __future__ import annotations

NUL = b"\0"
ENCRYPTED = b"\0E1"
"""How an encrypted payload begins."""
_REASON = b"\0?"
_ID = len(ENCRYPTED) + 1


def unreadable(reason: str) -> bytes:
    """What stands for a payload that cannot be read."""
    return _REASON + reason.encode(errors="replace")


def reason_against(payload: bytes | None) -> str | None:
    """Why a payload cannot be read, and what helps; None if nothing is known against it."""
    if payload is None or payload[:1] != NUL:
        return None
    if payload.startswith(_REASON):
        return payload[len(_REASON) :].decode(errors="replace")
    if (key := key_of(payload)) is not None:
        return f"it is encrypted with key {key!r}, which is not among the [crypto] keys here; add it"
    return None


def key_of(payload: bytes) -> str | None:
    """The id of the key that a payload is encrypted with; None if it is not encrypted."""
    if not payload.startswith(ENCRYPTED) or len(payload) <= _ID:
        return None
    name = payload[_ID + 1 : _ID + 1 + payload[_ID]]
    return name.decode("ascii", errors="replace") if len(name) == payload[_ID] else None

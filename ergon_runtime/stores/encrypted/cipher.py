"""The cipher of one store: payloads to encrypted ones and back, each bound to its place. The only file that imports
`cryptography`.

AES-256-GCM. Each flow, and each name that signals are sent to, has a key of its own, derived (HMAC-SHA256) from the
configured key, the store's id and the flow's: so no key writes more than one flow does, and nonces may be random. The
form, all of it authenticated together with the store's id and the place:

    NUL "E1" | kind | length of the key's id | key's id | nonce, 12 bytes | ciphertext | tag, 16 bytes

Arguments are compared by stores (R1), so equal ones must be encrypted alike: their nonce is an HMAC of the place and
the text, under a key used for nothing else. That tells nobody more than that the same flow has the same arguments.
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ergon_runtime.core.payloads import ENCRYPTED, key_of, reason_against, unreadable
from ergon_runtime.errors import PayloadUnreadable
from ergon_runtime.stores.encrypted.keys import Keys

ARGS, RESULT, NOTE, ENTRY, MAIL, NAMED = b"a", b"r", b"n", b"e", b"m", b"s"
"""Kinds of payloads: of a flow, its arguments, result, note, journal entries and mail; signals sent to a name."""
_WHAT = {ARGS: "arguments", RESULT: "result", NOTE: "note", ENTRY: "journal entry", MAIL: "message", NAMED: "signal"}
_NONCE, _TAG = 12, 16
_CIPHERS = 4096
"""Derived keys that are kept ready."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a payload belongs: of which kind, whose it is (a flow's id, or a channel), and which of those. Arguments
    are those of a flow type."""

    kind: bytes
    owner: str
    which: str = ""

    def __str__(self) -> str:
        which = f" {self.which}" if self.which and self.kind != ARGS else ""
        return f"the {_WHAT[self.kind]}{which} of {'channel' if self.kind == NAMED else 'flow'} {self.owner}"


class Cipher:
    """Encrypts with the first of the keys, and decrypts with all. For one thread at a time."""

    def __init__(self, keys: Keys, store_id: str) -> None:
        self._keys, self._store = keys, store_id
        self._named = bytes([len(keys.active)]) + keys.active.encode()
        self._cipher = lru_cache(_CIPHERS)(self._derived)
        self._nonce_key = hmac.digest(keys.secrets[keys.active], f"ergon nonces {store_id}".encode(), "sha256")

    def encrypt(self, spot: Spot, payload: bytes) -> bytes:
        """A payload as it is stored. Raises PayloadUnreadable for one that could not be read when it came."""
        if (reason := reason_against(payload)) is not None:
            raise PayloadUnreadable(spot.owner, f"{spot} cannot be written: {reason}")
        head = ENCRYPTED + spot.kind + self._named
        bound = self._bound(head, spot)
        if spot.kind == ARGS:
            nonce = hmac.digest(self._nonce_key, bound + payload, "sha256")[:_NONCE]
        else:
            nonce = os.urandom(_NONCE)
        cipher = self._cipher(self._keys.active, spot.kind == NAMED, spot.owner)
        return head + nonce + cipher.encrypt(nonce, payload, bound)

    def decrypt(self, spot: Spot, stored: bytes) -> bytes:
        """The payload. What cannot be read comes back as what `reason_against` knows: as it is if only the key is
        missing, else as the reason. Nothing that was not encrypted here, for this spot, comes back as a payload; with
        `read_plain`, what is not encrypted does."""
        key = key_of(stored)
        if key is None:
            plain = self._keys.read_plain and reason_against(stored) is None
            return stored if plain else unreadable(_not_encrypted(spot))
        if key not in self._keys.secrets:
            return stored
        start = len(ENCRYPTED) + 2 + len(key)
        head, nonce, text = stored[:start], stored[start : start + _NONCE], stored[start + _NONCE :]
        if head[len(ENCRYPTED) : len(ENCRYPTED) + 1] != spot.kind or len(text) < _TAG:
            return unreadable(_changed(spot, key))
        try:
            return self._cipher(key, spot.kind == NAMED, spot.owner).decrypt(nonce, text, self._bound(head, spot))
        except InvalidTag:
            return unreadable(_changed(spot, key))

    def _derived(self, key: str, named: bool, owner: str) -> AESGCM:
        scope = f"ergon {'name' if named else 'flow'} {len(self._store)}:{self._store}{owner}"
        return AESGCM(hmac.digest(self._keys.secrets[key], _bytes(scope), "sha256"))

    def _bound(self, head: bytes, spot: Spot) -> bytes:
        return head + _bytes(f"{len(self._store)}:{self._store}{len(spot.owner)}:{spot.owner}{spot.which}")


def kind_of(stored: bytes) -> bytes:
    """Of what kind an encrypted payload says that it is."""
    return stored[len(ENCRYPTED) : len(ENCRYPTED) + 1]


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _not_encrypted(spot: Spot) -> str:
    said = f"what the store has as {spot} is not encrypted, as it should be: it was changed there, or is from before"
    return f"{said}; if you know that it is from before, set read_plain = true under [crypto]"


def _changed(spot: Spot, key: str) -> str:
    said = f"what the store has as {spot} is not what was written there with key {key!r}"
    return f"{said}: it was changed, cut off, or moved; find out who can write to the store, and restore a backup"

"""Encryption keys: where they come from, and how a store tells whether they are its own.

A key is 32 random bytes, written as 64 hexadecimal digits, in an environment variable or in a file that its owner alone
may read: never in the configuration itself, nor on a command line. No message shows any part of one. A store keeps a
check of each key that it was written with: a keyed hash of the store's id, from which nobody learns the key.
"""

from __future__ import annotations

import hmac
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ergon_runtime.errors import ConfigError

KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,32}")
MAKE = "openssl rand -hex 32"
_KEY = re.compile(r"[0-9a-fA-F]{64}")
_BYTES = 32
_VARIABLE = "env:"
_LONGEST = 200
"""Bytes that a file with a key may have."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys, of 32 bytes, by their ids. The first one writes, all read. With `read_plain` what is not encrypted is read
    too, for stores that were used without encryption before. Raises ConfigError."""

    secrets: Mapping[str, bytes] = field(repr=False)
    read_plain: bool = False

    def __post_init__(self) -> None:
        if not self.secrets:
            raise ConfigError(f"there is no key; make one with: {MAKE}")
        for key_id, secret in self.secrets.items():
            if not KEY_ID.fullmatch(key_id):
                raise ConfigError(f"{key_id!r} is no id of a key; use up to 32 of A-Z a-z 0-9 . _ -")
            if len(secret) != _BYTES:
                raise ConfigError(f"key {key_id!r} has {len(secret)} bytes, not {_BYTES}; make a key with: {MAKE}")

    @property
    def active(self) -> str:
        """The id of the key that writes."""
        return next(iter(self.secrets))


def read_keys(sources: Iterable[str], *, read_plain: bool = False, environ: Mapping[str, str] | None = None) -> Keys:
    """Read keys from where the sources say: `ID=env:VARIABLE` or `ID=path/of/file`, the one that writes first.

    A file must belong to the user who runs this, and nobody else may have any right to it. Raises ConfigError.
    """
    secrets: dict[str, bytes] = {}
    for source in sources:
        key_id, mark, place = source.partition("=")
        key_id, place = key_id.strip(), place.strip()
        if not mark or not place or not KEY_ID.fullmatch(key_id):
            # not the source itself: it may be a key that somebody put in the wrong place
            raise ConfigError(
                "a key is named as ID=env:VARIABLE or ID=path/of/file, its id with up to 32 of A-Z a-z 0-9 . _ -"
            )
        if key_id in secrets:
            raise ConfigError(f"there are two keys with the id {key_id!r}; give each an id of its own, for ever")
        secrets[key_id] = _secret(key_id, place, os.environ if environ is None else environ)
    return Keys(secrets, read_plain)


def key_check(secret: bytes, store_id: str) -> str:
    """What a store keeps of a key that it was written with."""
    return hmac.digest(secret, f"ergon key check {store_id}".encode(), "sha256").hex()[:32]


def _secret(key_id: str, place: str, environ: Mapping[str, str]) -> bytes:
    if _KEY.fullmatch(place):
        said = f"key {key_id!r} stands in the configuration itself, where others may read it"
        raise ConfigError(f"{said}; make another, and put it into a file (chmod 600) or a variable")
    variable = place.removeprefix(_VARIABLE)
    where = place if variable == place else f"the environment variable {variable}"
    text = _file(key_id, place) if variable == place else environ.get(variable)
    if text is None:
        raise ConfigError(f"key {key_id!r}: {where} is not set; set it, or take the key off the [crypto] keys")
    if not _KEY.fullmatch(text.strip()):
        raise ConfigError(f"key {key_id!r}: {where} does not hold 64 hexadecimal digits; make a key with: {MAKE}")
    return bytes.fromhex(text.strip())


def _file(key_id: str, path: str) -> str:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe that nobody fills must not hang us
        try:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                raise ConfigError(f"key {key_id!r}: {path} is no regular file")
            if facts.st_uid != os.geteuid():
                said = f"key {key_id!r}: {path} belongs to another user (uid {facts.st_uid}, you are {os.geteuid()})"
                raise ConfigError(f"{said}; make a copy of your own with mode 600")
            if facts.st_mode & 0o077:
                said = f"key {key_id!r}: others have rights to {path} (mode {stat.S_IMODE(facts.st_mode):03o})"
                raise ConfigError(f"{said}; take them away: chmod 600 {path}")
            return os.read(handle, _LONGEST).decode("ascii", errors="replace")
        finally:
            os.close(handle)
    except OSError as error:
        raise ConfigError(f"key {key_id!r}: cannot read {path}: {error.strerror}") from None

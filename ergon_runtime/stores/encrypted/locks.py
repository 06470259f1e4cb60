"""Whether the keys at hand are those of a store: asked once, when it is opened, before anything is read or written.

A store that has no key check is not encrypted. The first writer with keys leaves the check of the key that it writes
with, in a store that is still empty or whose plain payloads it was told to read.
"""

from __future__ import annotations

from hmac import compare_digest

from ergon_runtime.errors import StoreLocked
from ergon_runtime.stores.contract import Store, StoreIdentity
from ergon_runtime.stores.encrypted.keys import Keys, key_check
from ergon_runtime.stores.records import Kind

ADVICE = "configure its keys: [crypto] keys in ergon.toml, or ERGON_CRYPTO__KEYS"


async def check_no_keys(store: Store, *, keyless: bool) -> None:
    """Raises StoreLocked for an encrypted store, unless it may be looked into without its keys."""
    identity = await store.identity()
    if identity.key_checks and not keyless:
        raise StoreLocked(f"the store {identity.url} is encrypted, and no keys are configured; {ADVICE}")


async def check_keys(store: Store, keys: Keys, *, keyless: bool, read_only: bool) -> None:
    """Raises StoreLocked if the keys are not the store's, or it has flows that are not encrypted and are not to be
    read. Leaves the check of the key that writes."""
    identity = await store.identity()
    _check(identity, keys, keyless=keyless)
    if read_only:
        fits = identity.key_checks or keys.read_plain or not any([await store.count(kind) for kind in Kind])
    elif keys.active in dict(identity.key_checks):
        return
    else:
        check = key_check(keys.secrets[keys.active], identity.id)
        fits = await store.add_key_check(keys.active, check, mixed=keys.read_plain)
        _check(await store.identity(), keys, keyless=keyless)  # somebody else may have been faster, with another key
    if not fits:
        said = f"the store {identity.url} is not encrypted, and it is not empty"
        raise StoreLocked(
            f"{said}; copy it to a new one (ergon store copy), or set read_plain = true under [crypto]\n"
            "  to read what is there as it is, and to encrypt what comes"
        )


def _check(identity: StoreIdentity, keys: Keys, *, keyless: bool) -> None:
    for key, check in identity.key_checks:
        secret = keys.secrets.get(key)
        if secret is not None and not compare_digest(check.encode(), key_check(secret, identity.id).encode()):
            said = f"the store {identity.url} was written with another key {key!r} than the one configured"
            raise StoreLocked(f"{said}; configure the right one")
        if secret is None and not keyless:
            said = f"parts of the store {identity.url} are encrypted with key {key!r}, which is not configured"
            raise StoreLocked(f"{said}; {ADVICE}")

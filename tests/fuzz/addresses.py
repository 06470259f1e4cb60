"""Store addresses: what is none is a ConfigError, what is one opens or tells why not, and no password is shown."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from ergon_runtime import ConfigError
from ergon_runtime.stores import parse
from tests.fuzz import hostile
from tests.fuzz.case import Faults
from tests.fuzz.oracle import CANARY, keeps_secret

GOOD = (
    f"redis://user:{CANARY}@host:6379/0?namespace=ergon",
    f"rediss://:{CANARY}@[::1]:6379/15?ca=/etc/ca.pem&namespace=a.b",
    f"unix://u:{CANARY}@/run/redis.sock?db=3",
    f"redis+sentinel://u:{CANARY}@a:1,b:2/service/0?sentinel_password=x",
    f"rediss+cluster://u:{CANARY}@a:7000,b",
    "sqlite:///ergon.db?synchronous=normal",
    "sqlite:////var/lib/%20x.db",
    "memory://",
)
PIECES = (
    *hostile.TEXTS[:40],
    "%00",
    "%zz",
    "%",
    "@",
    ":",
    "?",
    "#",
    "/",
    "//",
    ",",
    "[",
    "]",
    "&db=",
    "namespace=",
    ":0",
    "65536",
)


class Addresses:
    """Each case is an address. Nothing is opened."""

    def __init__(self, folder: Path, patience: float) -> None:
        pass

    def make(self, random: Random) -> Any:
        return hostile.mutate_text(random, random.choice(GOOD), PIECES)[:5000]

    def run(self, data: Any) -> Faults:
        try:
            address = parse(data)
        except ConfigError as error:
            said = str(error)
            if not any(sign in said for sign in (";", ":", "write", "must")):
                return [f"advice: no next action: {said!r}"]
        else:
            said = address.shown + repr(address)
        leaked = CANARY in data and CANARY in said and keeps_secret([data])
        return [f"secret: {said}"] if leaked else []

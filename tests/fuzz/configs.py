"""Configuration: files with keys, values and TOML that are wrong in every way, and the environment."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz import hostile
from tests.fuzz.case import Faults
from tests.fuzz.command_lines import URLS
from tests.fuzz.ground import Ground
from tests.fuzz.oracle import CANARY, faults, keeps_secret

GOOD = f"""# settings
store = "sqlite:///ergon.db"
modules = ["flows"]
allow_volatile = false

[worker]
concurrency = 20
lease = "10s"
max_entries = 5000
# redis://user:{CANARY}@host:6379/0
"""
KEYS = [
    "store",
    "modules",
    "allow_volatile",
    "worker",
    "worker.concurrency",
    "worker.lease",
    "worker.max_entries",
    "stor",
    "lese",
    "payload",
]
VALUES: tuple[str, ...] = (
    *(
        '"x"',
        "1",
        "-1",
        "0",
        "1.5",
        "true",
        "[]",
        "{}",
        '["flows"]',
        "[1]",
        '[""]',
        '"15s"',
        '"15"',
        '"1ms"',
        "nan",
        "inf",
    ),
    *("1979-05-27", "'''a\nb'''", '"\\u001b[2J"', '"\\ud800"', '"\\u202e"', "9" * 5000, "0x" + "f" * 9999, "1e999", ""),
    *("[" * 5000, "{a=" * 3000, "[" * 300 + "]" * 300, '"' + "x" * 100_000 + '"', '"sqlite:///\\u0000"'),
    *(f'"{url}"' for url in URLS),
)
COMMANDS = (
    "list",
    "list --json",
    "schedule fuzz_order -a n=1",
    "worker --burst",
    "inspect done",
    "signal go-2 {}",
    "run fuzz_order -a n=1",
)
PLACES = ("ergon.toml", "pyproject.toml", "other.toml", "sub/ergon.toml")
VARIABLES = tuple(
    f"ERGON_{name}"
    for name in ["STORE", "MODULES", "ALLOW_VOLATILE", "WORKER__LEASE", "WORKER__CONCURRENCY", "WORKER__MAX_ENTRIES"]
)


class Configs:
    """Each case is files, variables, and a command that heeds them."""

    def __init__(self, folder: Path, patience: float) -> None:
        self._ground = Ground(folder, patience)

    def make(self, random: Random) -> Any:
        files = {random.choice(PLACES): _text(random) for _ in range(random.choice((0, 1, 1, 1, 2)))}
        environ = {random.choice(VARIABLES): _setting(random) for _ in range(random.choice((0, 0, 1, 2)))}
        command = random.choice(COMMANDS).split(" ")
        if random.random() < 0.4:
            command += [
                "--config",
                random.choice((*PLACES, "folder", "/dev/null", "/dev/zero", "loop", "no/file", "", "not_a.db")),
            ]
        return {"files": files, "environ": environ, "command": command}

    def run(self, data: Any) -> Faults:
        self._ground.renew()
        for name, text in data["files"].items():
            path = self._ground.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(text.encode("latin-1"))
        command, environ = data["command"], data["environ"]
        ran = self._ground.run(command, environ=environ, stops=command[0] in ("worker", "run"))
        return faults(ran, secrets=keeps_secret([*data["files"].values(), *environ.values()]))


def _text(random: Random) -> str:
    """A file, as text in which each character is a byte."""
    text = GOOD
    for _ in range(random.choice((1, 1, 2, 3))):
        match random.randrange(7):
            case 0 | 1 | 2:
                lines = text.split("\n")
                place = random.randrange(len(lines))
                lines[place] = f"{random.choice(KEYS)} = {random.choice(VALUES)}"
                text = "\n".join(lines)
            case 3:
                text = hostile.mutate_text(random, text, VALUES)
            case 4:
                text = (
                    random.choice(("[tool.ergon]\n", "[tool]\nergon = 1\n", "[[worker]]\n", "[worker.x]\n", "\ufeff"))
                    + text
                )
            case 5:
                text += random.choice(
                    ("# " + "x" * 1_100_000, "\n" * 1_100_000, "a.b." * 3000 + "c = 1", "\x00", "[" * 100_000)
                )
            case _:
                lines = text.split("\n")
                del lines[random.randrange(len(lines))]
                text = "\n".join(lines)
    raw = text.encode(errors="surrogatepass")
    if random.random() < 0.08:
        raw = (
            random.choice((raw.decode(errors="replace").encode("utf-16"), b"\xff\xfe", b"\xed\xa0\x80", b"")) + raw[:50]
        )
    return raw.decode("latin-1")


def _setting(random: Random) -> str:
    """What a variable can hold."""
    text = random.choice(
        (random.choice(URLS), hostile.text(random), random.choice(VALUES).strip('"'), "5s", "flows", "7")
    )
    return text.replace("\0", "").encode(errors="surrogateescape").decode(errors="surrogateescape")[:100_000]

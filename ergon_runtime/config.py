"""Configuration: one frozen `Config` from flags, environment, the nearest file and defaults, in that order of strength.

The file is `ergon.toml`, or `[tool.ergon]` in a pyproject.toml, of the nearest folder upwards that has one. It names
code that will run, so it must belong to the user or to root, unless it was asked for by name. Relative paths (of stores
and of modules given as files) belong to the file that names them, else to the current folder. Whatever cannot be used
raises ConfigError, which names where the value came from. This file reads files and nothing else.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from ergon_runtime.errors import ConfigError
from ergon_runtime.limits import KIB, LEAST_BYTES, MIB, MOST_BYTES, shown_size

DEFAULT_STORE = "sqlite:///ergon.db"
DEFAULT_CONCURRENCY = 100
DEFAULT_LEASE = "15s"
DEFAULT_MAX_ENTRIES = 200_000
DEFAULT_PAYLOAD_WARN = "256KiB"
DEFAULT_PAYLOAD_MAX = "2MiB"
LEAST_MAX_ENTRIES = 100
SHORTEST_LEASE = 100
"""Milliseconds."""
KEYS = (
    "store",
    "allow_volatile",
    "modules",
    "worker.concurrency",
    "worker.lease",
    "worker.max_entries",
    "payload.warn",
    "payload.max",
    "crypto.keys",
    "crypto.read_plain",
)
"""Every key a file may have."""
TABLES = ("worker", "payload", "crypto")
LARGEST = MIB
"""Bytes that a configuration file may have."""
ENVIRONMENT = {
    "store": "ERGON_STORE",
    "allow_volatile": "ERGON_ALLOW_VOLATILE",
    "modules": "ERGON_MODULES",
    "worker.concurrency": "ERGON_WORKER__CONCURRENCY",
    "worker.lease": "ERGON_WORKER__LEASE",
    "worker.max_entries": "ERGON_WORKER__MAX_ENTRIES",
    "payload.warn": "ERGON_PAYLOAD__WARN",
    "payload.max": "ERGON_PAYLOAD__MAX",
    "crypto.keys": "ERGON_CRYPTO__KEYS",
    "crypto.read_plain": "ERGON_CRYPTO__READ_PLAIN",
}
NUMBERS = ("worker.concurrency", "worker.max_entries")
UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
LONGEST = 36_500 * UNITS["d"]
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_SECRET = re.compile(r"(?<=://)\S*(?=@)|(?<=password=)[^&\s\"']*|\b[0-9a-fA-F]{64}\b")
SIZES = {"B": 1, "KiB": KIB, "MiB": MIB}
_SIZE = re.compile(r"([0-9]{1,9})(B|KiB|MiB)")
_TOML_POSITION = re.compile(r"(.*) \(at line (\d+), column (\d+)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Flags:
    """What the caller was told directly; it beats every other source. None and () mean not told."""

    store: str | None = field(default=None, repr=False)
    modules: tuple[str, ...] = ()
    concurrency: int | None = None
    lease: str | None = None
    """A duration, as `parse_duration` reads it."""
    max_entries: int | None = None
    allow_volatile: bool | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """Configuration in force. Relative paths have been made absolute."""

    store_url: str = field(repr=False)
    """It may hold a password."""
    allow_volatile: bool
    """Whether a Redis server may be used that keeps no append-only file."""
    modules: tuple[str, ...]
    """Dotted names, or absolute paths of files and folders, each perhaps with `:Name`."""
    concurrency: int
    """How many flows a worker advances at once."""
    lease: int
    """Milliseconds."""
    max_entries: int
    """Journal entries of one life of a flow after which it is blocked."""
    payload_warn: int
    """Bytes of one stored value from which on a warning is logged."""
    payload_max: int
    """Bytes that one stored value may take."""
    key_sources: tuple[str, ...] = field(repr=False)
    """Where the encryption keys are, as `read_keys` takes it, with absolute paths. None: the store is not encrypted."""
    read_plain: bool
    """Whether an encrypted store may hold what is not."""
    root: Path
    """The folder of the file, else the current one: the first on `sys.path` when modules are loaded."""
    file: Path | None
    """The file that was read."""
    origins: Mapping[str, str]
    """For each key of KEYS, where its value came from: `flag`, a variable, `ergon.toml` or `default`."""


@dataclass(frozen=True, slots=True)
class _Value:
    raw: object
    origin: str
    base: Path

    def wrong(self, key: str, expected: str) -> ConfigError:
        try:
            got = _masked(repr(self.raw))
        except ValueError:
            got = "a number of very many digits"
        return ConfigError(f"{self.origin}: {key} must be {expected}; got {got}")


def load_config(cwd: Path, environ: Mapping[str, str], flags: Flags | None = None, file: Path | None = None) -> Config:
    """The configuration in force for a process that runs in `cwd`. `file`, or else ERGON_CONFIG, names the file to read
    instead of searching.

    Raises ConfigError when the file cannot be read, is somebody else's, or anything in force makes no sense.
    """
    cwd = cwd.absolute()
    named = file or environ.get("ERGON_CONFIG", "").strip()
    path = cwd / named if named else find_file(cwd)
    settings = {} if path is None else _read(path, cwd)
    values = _strongest(cwd, environ, flags or Flags(), path, settings)
    return Config(
        store_url=_store(values["store"]),
        allow_volatile=_bool(values["allow_volatile"], "allow_volatile"),
        modules=_modules(values["modules"]),
        concurrency=_number(values["worker.concurrency"], "worker.concurrency", 1),
        lease=_lease(values["worker.lease"]),
        max_entries=_number(values["worker.max_entries"], "worker.max_entries", LEAST_MAX_ENTRIES),
        payload_warn=_size(values["payload.warn"], "payload.warn", 0),
        payload_max=_size(values["payload.max"], "payload.max", LEAST_BYTES),
        key_sources=_key_sources(values["crypto.keys"]),
        read_plain=_bool(values["crypto.read_plain"], "crypto.read_plain"),
        root=cwd if path is None else path.parent,
        file=path,
        origins={key: value.origin for key, value in values.items()},
    )


def parse_duration(text: str) -> int:
    """Milliseconds from `500ms`, `2s`, `1.5s`, `15m`, `2h` or `1d`. Raises ConfigError."""
    if not (found := _DURATION.fullmatch(text.strip())):
        unitless = re.fullmatch(r"[0-9]+(\.[0-9]+)?", text.strip())
        advice = f"say the unit, as in {text.strip()}s" if unitless else "write it like 500ms, 2s, 15m, 2h or 1d"
        raise ConfigError(f"not a duration: {text!r}; {advice}")
    number, unit = found.groups()
    milliseconds = float(number) * UNITS[unit]
    if milliseconds > LONGEST:
        raise ConfigError(f"too long a duration: {text!r}; the longest is 36500d")
    return round(milliseconds)


def find_file(folder: Path) -> Path | None:
    """The configuration file of the nearest folder upwards. A pyproject.toml without [tool.ergon] is passed over.

    Raises ConfigError for a file that belongs to somebody else.
    """
    for parent in (folder, *folder.parents):
        if _is_file(own := parent / "ergon.toml"):
            return _trusted(own, folder)
        if _is_file(project := parent / "pyproject.toml") and _table(_parse(project, folder)) is not None:
            return _trusted(project, folder)
    return None


def _trusted(path: Path, cwd: Path) -> Path:
    owner = path.stat().st_uid
    if owner not in (os.getuid(), 0):
        raise ConfigError(
            f"{shown(path, cwd)} belongs to another user (uid {owner}, you are {os.getuid()}) and names code that "
            f"would run as you; if you trust it, name it yourself: --config {shown(path, cwd)}, or ERGON_CONFIG"
        )
    return path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False  # a parent folder that may not be looked into holds no configuration of ours


def _read(path: Path, cwd: Path) -> dict[str, object]:
    """The settings of a file by dotted key. Raises ConfigError for keys that do not exist."""
    document = _parse(path, cwd)
    settings: object = document
    if path.name == "pyproject.toml" and (settings := _table(document)) is None:
        raise ConfigError(f"{shown(path, cwd)} has no [tool.ergon] table; add one, or name another file")
    if not isinstance(settings, dict):
        raise ConfigError(f"{shown(path, cwd)}: tool.ergon must be a table, as in [tool.ergon]")
    flat = _flatten(cast("dict[str, object]", settings))
    if unknown := [key for key in flat if key not in KEYS]:
        text = path.read_text(encoding="utf-8")
        raise ConfigError("\n".join(_unknown(key, shown(path, cwd), text) for key in unknown))
    return flat


def _flatten(settings: dict[str, object]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in settings.items():
        if key in TABLES and isinstance(value, dict):
            flat |= {f"{key}.{name}": inner for name, inner in cast("dict[str, object]", value).items()}
        else:
            flat[key] = value
    return flat


def _table(document: dict[str, object]) -> object | None:
    tool = document.get("tool")
    return cast("dict[str, object]", tool).get("ergon") if isinstance(tool, dict) else None


def _parse(path: Path, cwd: Path) -> dict[str, object]:
    name = shown(path, cwd)
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ConfigError(f"{name} is larger than {shown_size(LARGEST)}; that is no configuration file")
        text = data.decode()
    except FileNotFoundError:
        raise ConfigError(f"no configuration file {name}; check --config") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{name} is not UTF-8 text; TOML files must be") from None
    except OSError as error:
        raise ConfigError(f"cannot read {name}: {error.strerror}") from None
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError also for a number of very many digits
        raise ConfigError(_toml_error(name, text, str(error))) from None


def _toml_error(name: str, text: str, reason: str) -> str:
    """`file:line:column: reason`, then the line with a caret under the place."""
    lines = text.split("\n")
    if found := _TOML_POSITION.fullmatch(reason):
        reason, line, column = found[1], int(found[2]), int(found[3])
    else:
        last = max(1, len(text.rstrip("\n").split("\n")))
        reason, line, column = reason.removesuffix(" (at end of document)"), last, len(lines[last - 1]) + 1
    content = _masked(lines[line - 1].expandtabs(1).rstrip("\r"))
    margin = f"  {line} | "
    return f"{name}:{line}:{column}: {reason}\n{margin}{content}\n{' ' * (len(margin) + column - 1)}^"


def _masked(text: str) -> str:
    """The text without the secrets of store addresses, and as long."""
    return _SECRET.sub(lambda found: "*" * len(found[0]), text)


def _unknown(key: str, name: str, text: str) -> str:
    written = re.escape(key.rpartition(".")[2])
    place = re.compile(rf"^[ \t]*(?:\[[^\]\n]*)?[\"']?{written}[\"']?[ \t]*[\]=.]", re.MULTILINE).search(text)
    line = f":{text.count(chr(10), 0, place.end()) + 1}" if place else ""
    close = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.5)
    by_tail = [known for known in KEYS if known.rpartition(".")[2] == key.rpartition(".")[2]]
    advice = (by_tail or close or [""])[0]
    return f"{name}{line}: unknown key {key}; " + (f"did you mean {advice}?" if advice else f"known: {', '.join(KEYS)}")


def _strongest(
    cwd: Path, environ: Mapping[str, str], flags: Flags, path: Path | None, settings: Mapping[str, object]
) -> dict[str, _Value]:
    told = {
        "store": flags.store,
        "allow_volatile": flags.allow_volatile,
        "modules": flags.modules or None,
        "worker.concurrency": flags.concurrency,
        "worker.lease": flags.lease,
        "worker.max_entries": flags.max_entries,
    }
    defaults = {
        "store": DEFAULT_STORE,
        "allow_volatile": False,
        "modules": (),
        "worker.concurrency": DEFAULT_CONCURRENCY,
        "worker.lease": DEFAULT_LEASE,
        "worker.max_entries": DEFAULT_MAX_ENTRIES,
        "payload.warn": DEFAULT_PAYLOAD_WARN,
        "payload.max": DEFAULT_PAYLOAD_MAX,
        "crypto.keys": (),
        "crypto.read_plain": False,
    }
    home = cwd if path is None else path.parent
    values: dict[str, _Value] = {}
    for key, variable in ENVIRONMENT.items():
        if told.get(key) is not None:
            values[key] = _Value(told[key], "flag", cwd)
        elif text := environ.get(variable, "").strip():
            values[key] = _Value(_from_text(key, text), variable, cwd)
        elif path is not None and key in settings:
            values[key] = _Value(settings[key], shown(path, cwd), home)
        else:
            values[key] = _Value(defaults[key], "default", home)
    return values


def _from_text(key: str, text: str) -> object:
    if key in ("modules", "crypto.keys"):
        return text.split()
    if key in ("allow_volatile", "crypto.read_plain"):
        return {"1": True, "true": True, "0": False, "false": False}.get(text.lower(), text)
    if key in NUMBERS and re.fullmatch(r"[0-9]{1,9}", text):
        return int(text)
    return text


def _store(value: _Value) -> str:
    if not isinstance(value.raw, str) or not value.raw.strip():
        raise value.wrong("store", "an address, as in sqlite:///ergon.db")
    url = value.raw.strip()
    scheme, mark, path = url.partition(":///")
    if not mark or scheme != "sqlite" or not path:
        return url
    return f"sqlite:///{value.base / path}"


def _bool(value: _Value, key: str) -> bool:
    if not isinstance(value.raw, bool):
        raise value.wrong(key, "true or false")
    return value.raw


def _key_sources(value: _Value) -> tuple[str, ...]:
    raw, placed = value.raw, list[str]()
    for item in cast("list[object] | tuple[object, ...]", raw) if isinstance(raw, list | tuple) else (None,):
        key, _, place = map(str.strip, item.partition("=")) if isinstance(item, str) else ("", "", "")
        if not key or not place:  # what it is stays unsaid: it may be a key
            raise ConfigError(f'{value.origin}: crypto.keys must be a list, as in ["k2=env:SHOP_KEY", "k1=keys/k1"]')
        inline = place.startswith("env:") or re.fullmatch("[0-9a-fA-F]{64}", place)
        placed.append(f"{key}={place if inline else value.base / place}")
    return tuple(placed)


def _modules(value: _Value) -> tuple[str, ...]:
    raw, placed = value.raw, list[str]()
    if not isinstance(raw, list | tuple):
        raise value.wrong("modules", 'a list, as in ["flows"]')
    for item in cast("list[object] | tuple[object, ...]", raw):
        if not isinstance(item, str) or not item.strip():
            raise value.wrong("modules", 'a list of names, as in ["flows", "jobs/orders.py"]')
        placed.append(_placed(item.strip(), value.base))
    return tuple(placed)


def _placed(module: str, base: Path) -> str:
    """A module given as a file or folder as an absolute path; a dotted name as it is."""
    path, mark, name = module.partition(":")
    return f"{base / path}{mark}{name}" if "/" in path or path.endswith(".py") else module


def _number(value: _Value, key: str, least: int) -> int:
    if not isinstance(value.raw, int) or isinstance(value.raw, bool) or value.raw < least:
        raise value.wrong(key, f"a whole number, {least} or more")
    return value.raw


def _size(value: _Value, key: str, least: int) -> int:
    found = _SIZE.fullmatch(value.raw.strip()) if isinstance(value.raw, str) else None
    if found is None:
        raise value.wrong(key, 'a size in quotes, as in "512KiB" or "4MiB"')
    if not least <= (size := int(found[1]) * SIZES[found[2]]) <= MOST_BYTES:
        raise value.wrong(key, f"between {shown_size(least)} and {shown_size(MOST_BYTES)}")
    return size


def _lease(value: _Value) -> int:
    if not isinstance(value.raw, str):
        raise value.wrong("worker.lease", 'a duration in quotes, as in "15s"')
    try:
        lease = parse_duration(value.raw)
    except ConfigError as error:
        raise ConfigError(f"{value.origin}: worker.lease: {error}") from None
    if lease < SHORTEST_LEASE:
        raise value.wrong("worker.lease", f"{SHORTEST_LEASE}ms or longer")
    return lease


def shown(path: Path, cwd: Path) -> str:
    """A path as people know it: relative to where they stand, when it is below."""
    return str(path.relative_to(cwd)) if path.is_relative_to(cwd) else str(path)

"""Redis addresses: what they may look like, and what they say. Nothing is opened, and nothing heavy imported.

    redis://user:password@host:6379/0?namespace=ergon    a server; rediss:// the same over TLS, verified
    unix:///run/redis.sock?db=0                          a server on this machine
    redis+sentinel://host:26379,host:26379/service/0     whoever the sentinels say is the master of the service
    redis+cluster://host:7000,host:7001                  the cluster's node that holds the namespace

rediss+sentinel:// and rediss+cluster:// exist too. Parts are percent-decoded. Options: namespace, db (unix), ca (a file
of certificates to trust), sentinel_password. What is shown of an address never has a password in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias
from urllib.parse import parse_qsl, quote, unquote

from ergon_runtime.errors import ConfigError

Kind: TypeAlias = Literal["server", "socket", "sentinel", "cluster"]

FORMS = "redis://host:6379/0, rediss://, unix:///path.sock, redis+sentinel://host:26379/service or redis+cluster://host:7000"
SCHEMES: Mapping[str, tuple[Kind, bool]] = {
    "redis": ("server", False),
    "rediss": ("server", True),
    "unix": ("socket", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
"""Per scheme its kind, and whether it goes over TLS."""
_PORTS: Mapping[Kind, int] = {"server": 6379, "socket": 0, "sentinel": 26379, "cluster": 6379}
_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")
_OPTIONS: Mapping[Kind, frozenset[str]] = {
    "server": frozenset({"namespace", "ca"}),
    "socket": frozenset({"namespace", "db"}),
    "sentinel": frozenset({"namespace", "ca", "sentinel_password"}),
    "cluster": frozenset({"namespace", "ca"}),
}


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A namespace on a Redis server, and how to reach it. `hosts` are the server's, the sentinels' or some nodes'."""

    kind: Kind
    scheme: str
    hosts: tuple[tuple[str, int], ...] = ()
    socket: str | None = None
    database: int = 0
    service: str = ""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca: str | None = None
    namespace: str = "ergon"
    path: None = None
    """It is no file."""

    @property
    def shown(self) -> str:
        """The address for people and logs, without passwords."""
        user = f"{quote(self.user)}@" if self.user else ""
        match self.kind:
            case "socket":
                return f"{self.scheme}://{quote(self.socket or '')}?db={self.database}&namespace={self.namespace}"
            case "sentinel":
                rest = f"/{quote(self.service)}/{self.database}"
            case "cluster":
                rest = ""
            case "server":
                rest = f"/{self.database}"
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        return f"{self.scheme}://{user}{hosts}{rest}?namespace={self.namespace}"


def parse_redis(url: str) -> RedisAddress:
    """Read a Redis address. Raises ConfigError, whose message shows nothing that might be a password."""
    scheme, _, rest = url.partition("://")
    kind, tls = SCHEMES[scheme.lower()]
    rest, _, query = rest.partition("?")
    if "#" in url or "@" in query:
        raise ConfigError(
            f"the {scheme}:// store address must write # in it as %23, and ? and @ in its parts as %3F and %40"
        )
    options = _options(scheme, kind, query)
    login, at, place = rest.rpartition("@")
    user, password = _login(login) if at else (None, None)
    address = RedisAddress(
        kind,
        scheme,
        user=user,
        password=password,
        sentinel_password=options.get("sentinel_password"),
        tls=tls,
        ca=options.get("ca"),
        namespace=_namespace(options.get("namespace", "ergon")),
    )
    if kind == "socket":
        socket, database = _socket(place), _database(options.get("db", "0"))
        return replace(address, socket=socket, database=database)
    names, _, path = place.partition("/")
    service, database = _path(scheme, kind, path)
    hosts = tuple(_host(each, kind) for each in _split(scheme, kind, names))
    return replace(address, hosts=hosts, service=service, database=database)


def _socket(place: str) -> str:
    if not place.startswith("/") or "\0" in unquote(place):
        raise ConfigError("a unix:// address names a socket by its path: write unix:///path/redis.sock")
    return unquote(place)


def _login(login: str) -> tuple[str | None, str | None]:
    user, _, password = login.partition(":")
    return unquote(user) or None, unquote(password) or None


def _options(scheme: str, kind: Kind, query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = options.keys() - _OPTIONS[kind]
    if unknown:
        known = ", ".join(sorted(_OPTIONS[kind]))
        raise ConfigError(f"a {scheme}:// address has no option {min(unknown)!r}; there are {known}")
    return options


def _namespace(text: str) -> str:
    if not _NAMESPACE.fullmatch(text):
        said = "must be 1 to 100 of A-Z a-z 0-9 . _ : -, the first a letter or digit"
        raise ConfigError(f"the namespace {text!r} {said}")
    return text


def _path(scheme: str, kind: Kind, path: str) -> tuple[str, int]:
    """The sentinels' service and the database."""
    service = ""
    if kind == "sentinel":
        service, _, path = path.partition("/")
        if not service:
            raise ConfigError(f"{scheme}:// wants the service's name: {scheme}://host:26379/mymaster/0")
    if kind == "cluster" and path not in {"", "0"}:
        raise ConfigError(f"a cluster has only database 0: write {scheme}://host:7000")
    return unquote(service), _database(path or "0")


def _database(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ConfigError("the database of a Redis address is a number, as in redis://host:6379/0")
    return int(text)


def _split(scheme: str, kind: Kind, hosts: str) -> list[str]:
    parts = hosts.split(",")
    if kind == "server" and len(parts) > 1:
        raise ConfigError(f"{scheme}:// names one host; for several write {scheme}+sentinel:// or {scheme}+cluster://")
    return parts


def _host(text: str, kind: Kind) -> tuple[str, int]:
    name, bracket, rest = text.rpartition("]")
    host, colon, port = rest.partition(":")
    if bracket:
        host = name.removeprefix("[")
    if colon and not (re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65536):
        raise ConfigError(
            f"a host of the store address has no port number after its colon: write host:{_PORTS[kind]};"
            " a password stands before an @"
        )
    return unquote(host) or "localhost", int(port) if colon else _PORTS[kind]

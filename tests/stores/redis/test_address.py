"""Redis addresses: what each form means, how it is shown, and what a wrong one is told, without its secrets."""

from __future__ import annotations

from typing import Any

import pytest

from ergon_runtime.errors import ConfigError
from ergon_runtime.stores.redis.address import SCHEMES, RedisAddress, parse_redis


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("redis://", {"hosts": (("localhost", 6379),)}),
        ("redis://host", {"hosts": (("host", 6379),)}),
        ("REDIS://host:1/2?namespace=a.b", {"hosts": (("host", 1),), "database": 2, "namespace": "a.b"}),
        ("redis://u%40x:p%2F%3A%3F%23@host", {"user": "u@x", "password": "p/:?#", "hosts": (("host", 6379),)}),
        ("redis://:p@host", {"user": None, "password": "p", "hosts": (("host", 6379),)}),
        ("redis://u:a@b/c@host", {"user": "u", "password": "a@b/c", "hosts": (("host", 6379),)}),
        ("redis://[::1]:7/0", {"hosts": (("::1", 7),)}),
        ("rediss://host?ca=%2Fca.pem", {"tls": True, "ca": "/ca.pem", "hosts": (("host", 6379),)}),
        ("unix:///run/a%20b.sock?db=3", {"socket": "/run/a b.sock", "database": 3}),
        ("unix://u:p@/s", {"socket": "/s", "user": "u", "password": "p"}),
        (
            "redis+sentinel://a,b:7/orders/1?sentinel_password=q%26",
            {"hosts": (("a", 26379), ("b", 7)), "service": "orders", "database": 1, "sentinel_password": "q&"},
        ),
        ("rediss+cluster://a:1,b", {"tls": True, "hosts": (("a", 1), ("b", 6379))}),
    ],
)
def test_address_means(url: str, meant: dict[str, Any]) -> None:
    scheme = url.partition("://")[0]
    assert parse_redis(url) == RedisAddress(SCHEMES[scheme.lower()][0], scheme, **meant)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://", "redis://localhost:6379/0?namespace=ergon"),
        ("redis://u%40:p@[::1]:7/2", "redis://u%40@[::1]:7/2?namespace=ergon"),
        ("unix://u:p@/a b.sock?namespace=x", "unix:///a%20b.sock?db=0&namespace=x"),
        (
            "redis+sentinel://u:p@a,b:7/m?sentinel_password=q",
            "redis+sentinel://u@a:26379,b:7/m/0?namespace=ergon",
        ),
        ("redis+cluster://u:p@a,b:7", "redis+cluster://u@a:6379,b:7?namespace=ergon"),
    ],
)
def test_address_is_shown_as_one_that_can_be_used_again(url: str, shown: str) -> None:
    address = parse_redis(url)
    assert address.shown == shown
    assert parse_redis(shown).shown == shown


def test_secrets_are_not_in_what_is_shown() -> None:
    address = parse_redis("redis+sentinel://user:hidden@a/m?sentinel_password=concealed")
    assert "hidden" not in f"{address!r}{address}{address.shown}"
    assert "concealed" not in f"{address!r}{address}{address.shown}"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://host:port", "no port number after its colon: write host:6379"),
        ("redis://host:0", "no port number"),
        ("redis://host:65536", "no port number"),
        ("redis+sentinel://host:x/m", "write host:26379"),
        ("redis://host/x", "database of a Redis address is a number"),
        ("redis://a,b", r"for several write redis\+sentinel:// or redis\+cluster://"),
        ("redis://host?db=1", r"has no option 'db'; there are ca, namespace$"),
        ("unix://host/s", "names a socket by its path"),
        ("unix:///s?ca=x", "has no option 'ca'; there are db, namespace"),
        ("unix:///s?db=x", "database of a Redis address is a number"),
        ("redis+sentinel://host", r"wants the service's name: redis\+sentinel://host:26379/mymaster/0"),
        ("redis+cluster://host/1", "only database 0"),
        ("redis://host#x", "write # in it as %23"),
        ("redis://host?namespace=", "the namespace '' must be 1 to 100"),
        ("redis://host?namespace=a{b}", "the namespace 'a{b}' must be"),
        ("redis://host?namespace=-", "the first a letter or digit"),
    ],
)
def test_wrong_address_is_told_what_to_write(url: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse_redis(url)

"""A user with the rights that docs/redis.md lists can do everything; one without one of them is told so.

From 7.0 on a server can be asked for rights, so that a missing one is told at once; before that it is told when it is
first missed, and for fewer of them there is a test.
"""

from __future__ import annotations

import asyncio
import importlib
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ergon_runtime.errors import StoreUnavailable
from tests.redis_server import executable, shared_server, version
from tests.stores import harness
from tests.stores.harness import new
from tests.stores.redis.servers import command, opened, run

ROOT = Path(__file__).parents[3]
SCRIPTS = ROOT / "ergon_runtime/stores/redis/lua"
CLIENT = {"evalsha", "eval", "script|load", "info", "config|get", "subscribe", "ping", "select"}
"""Commands that no script runs."""
CHECKING = {"pttl", "scan", "type"}
"""Commands that only the check of a store needs: nobody who may not run them is kept from working."""
CAN_BE_ASKED = version(executable()) >= (7,)
CREATING = {"exists", "hget", "hmget", "hset", "publish", "sadd", "time", "zadd"}
"""What it takes to create a flow."""


def documented() -> list[str]:
    """The rules of the ACL line in the documentation, with the user's name and password taken off."""
    text = (ROOT / "docs/redis.md").read_text()
    line = re.search(r"^ACL SETUSER ergon on >\S+ ((?:.|\\\n)*?)\n```", text, re.MULTILINE)
    assert line, "docs/redis.md has no line that begins with ACL SETUSER ergon on >"
    return line[1].replace("\\\n", " ").split()


def of_scripts() -> set[str]:
    found = (re.findall(r"redis\.call\('([A-Z]+)'", path.read_text()) for path in SCRIPTS.glob("*.lua"))
    return {name.lower() for names in found for name in names}


def of_arrival() -> set[str]:
    listed = re.search(r"COMMANDS = \{([^}]*)\}", (SCRIPTS / "arrive.lua").read_text())
    assert listed
    return {name.lower() for name in re.findall(r"'([A-Z]+)'", listed[1])}


@pytest.fixture
def user() -> Iterator[Callable[..., str]]:
    """Makes a user with these rules; gives the server's address for it."""
    server, names = shared_server(), list[str]()

    def make(*rules: str) -> str:
        names.append(f"user-{secrets.token_hex(4)}")
        command(server, "ACL", "SETUSER", names[-1], "on", ">pass", *rules)
        return f"unix://{names[-1]}:pass@{server.socket}"

    yield make
    command(server, "ACL", "DELUSER", *names)


def anywhere(rules: list[str]) -> list[str]:
    """The rules for every namespace, as each test has its own."""
    return [rule.replace("{ergon}", "*") for rule in rules]


def scenarios() -> list[Callable[[str, Path], None]]:
    """The tests of the conformance suite, each a function of a kind of store and a folder."""
    found: list[Callable[[str, Path], None]] = []
    for path in sorted((ROOT / "tests/stores/conformance").glob("test_*.py")):
        module = importlib.import_module(f"tests.stores.conformance.{path.stem}")
        for name, value in vars(module).items():
            marks = getattr(value, "pytestmark", [])
            if name.startswith("test_") and any(mark.args and mark.args[0] == "kind" for mark in marks):
                found.append(value)
    return found


def test_the_rights_that_are_checked_and_documented_are_those_that_are_used() -> None:
    assert of_arrival() | CHECKING == of_scripts(), "COMMANDS in arrive.lua must list what the scripts call"
    commands = {rule[1:] for rule in documented() if rule.startswith("+")}
    assert commands == of_arrival() | CLIENT | CHECKING, (
        "the rule in docs/redis.md must allow what is used, and no more"
    )


def test_a_user_with_the_documented_rights_passes_the_conformance_suite(
    user: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = user(*anywhere(documented()))
    monkeypatch.setattr(harness, "shared_server", lambda: SimpleNamespace(url=url))
    told = scenarios()
    assert len(told) > 50
    for scenario in told:
        scenario("redis", tmp_path)


@pytest.mark.parametrize("right", sorted(of_arrival() if CAN_BE_ASKED else CREATING))
def test_a_user_without_a_right_is_told_before_anything_is_half_written(user: Callable[..., str], right: str) -> None:
    namespace = secrets.token_hex(6)
    url = f"{user(*anywhere(documented()), f'-{right}')}?namespace={namespace}"
    server = shared_server()

    async def main() -> None:
        async with opened(f"{server.url}?namespace={namespace}"):
            pass
        with pytest.raises(StoreUnavailable, match=r"the user lacks a right.*docs/redis\.md, Rights"):
            async with opened(url) as store:
                await store.create(new("a"))
        if CAN_BE_ASKED:
            assert command(server, "KEYS", f"*{namespace}*") == [f"{{{namespace}}}:meta"]

    run(main)


@pytest.mark.parametrize("right", ["select", "info", "eval", "evalsha", *(["script|load"] if CAN_BE_ASKED else [])])
def test_a_user_without_a_right_of_the_client_is_told(user: Callable[..., str], right: str) -> None:
    async def main() -> None:
        command(shared_server(), "SCRIPT", "FLUSH")
        url = f"{user(*anywhere(documented()), f'-{right}')}?namespace={secrets.token_hex(6)}&db=1"
        with pytest.raises(StoreUnavailable, match=r"the user lacks a right.*docs/redis\.md, Rights"):
            async with opened(url) as store:
                await store.create(new("a"))

    run(main)


def test_a_user_who_may_not_listen_is_told_and_works(
    user: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        url = f"{user(*anywhere(documented()), '-subscribe')}?namespace={secrets.token_hex(6)}"
        async with opened(url) as store:
            while "no hints from the store" not in caplog.text:
                await asyncio.sleep(0.01)
            assert await store.create(new("a"))

    run(main)


def test_a_user_of_another_namespace_is_told(user: Callable[..., str]) -> None:
    async def main() -> None:
        with pytest.raises(StoreUnavailable, match="the user lacks a right"):
            async with opened(f"{user(*documented())}?namespace=other") as store:
                await store.create(new("a"))

    run(main)


def test_a_wrong_password_is_told_without_it(user: Callable[..., str]) -> None:
    async def main() -> None:
        url = user("+@all", "~*").replace(":pass@", ":secret@")
        with pytest.raises(StoreUnavailable, match="does not take this user and password") as caught:
            async with opened(url):
                pass
        assert "secret" not in str(caught.value)

    run(main)

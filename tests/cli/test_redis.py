"""Commands on Redis servers: which servers are refused and how, and that no secret is ever shown."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.cli.shell import Shell
from tests.redis_server import Server, new_namespace
from tests.stores.redis.servers import command, server

LOOKERS = [["list"], ["inspect", "one"], ["replay", "one"], ["signal", "x", "1"], ["cancel", "one"]]
MAKERS = [["schedule", "order", "-a", "n=1"], ["run", "order", "-a", "n=1"], ["worker", "--burst"]]
COMMANDS = [*LOOKERS, *MAKERS]
SECRET = "hid/den?#@:word"

pytestmark = pytest.mark.usefixtures("flows")


@pytest.fixture(scope="module")
def locked() -> Iterator[Server]:
    """A server that wants SECRET."""
    with server("--requirepass", SECRET) as made:
        yield made


def with_password(server: Server, password: str) -> str:
    return f"unix://:{quote(password, safe='')}@{server.socket}"


def refused(ergon: Shell, args: list[str], code: int, *said: str) -> None:
    """A command must end with this code and say these words, in at most six lines; with --json in one."""
    assert (ergon(*args), ergon.out) == (code, "")
    assert ergon.err.startswith("error: ")
    assert ergon.err.count("\n") <= 6
    assert [part for part in said if part not in ergon.err] == [], ergon.err
    assert (ergon(*args, "--json"), ergon.out) == (code, "")
    assert json.loads(ergon.err)["error"]["code"] == code


@pytest.mark.parametrize("args", LOOKERS[1:], ids=lambda args: args[0])
def test_store_that_is_not_there_is_not_found_and_not_created(ergon: Shell, args: list[str]) -> None:
    with server() as empty:
        url = f"{empty.url}?db=0&namespace=ergon"
        refused(ergon, [*args, "--store", url], 3, f"there is no store at {url} yet (from: flag)", "schedule a flow")
        assert command(empty, "DBSIZE") == 0


def test_list_of_a_store_that_is_not_there_is_empty_with_a_note(ergon: Shell) -> None:
    url = new_namespace()
    for _ in range(2):
        assert ergon("list", "--store", url) == 0
        assert (ergon.out, ergon.err) == ("", f"no flows: there is no store at {url} yet (from: flag)\n")


@pytest.mark.parametrize("args", MAKERS, ids=lambda args: args[0])
def test_server_that_keeps_no_append_only_file_is_refused(ergon: Shell, args: list[str]) -> None:
    with server("--appendonly", "no") as forgetful:
        line = [*args, "--store", forgetful.url]
        refused(ergon, line, 2, "keeps no append-only file", "set appendonly yes", "--allow-volatile")
        assert command(forgetful, "DBSIZE") == 0


def test_server_that_keeps_no_append_only_file_is_used_if_allowed(
    ergon: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server("--appendonly", "no") as forgetful:
        monkeypatch.setenv("ERGON_STORE", forgetful.url)
        assert ergon("schedule", "order", "-a", "n=1", "--id", "one", "--allow-volatile") == 0
        for args in (["list"], ["inspect", "one"], ["signal", "x"], ["cancel", "one"]):
            assert ergon(*args) == 0, ergon.err  # to look, signal and cancel needs no leave: the store is there
        monkeypatch.setenv("ERGON_ALLOW_VOLATILE", "1")
        assert ergon("schedule", "order", "-a", "n=1", "--id", "two") == 0


@pytest.mark.parametrize("args", MAKERS, ids=lambda args: args[0])
def test_server_that_throws_keys_away_is_refused(ergon: Shell, args: list[str]) -> None:
    with server("--maxmemory-policy", "allkeys-lru") as forgetful:
        line = [*args, "--store", forgetful.url, "--allow-volatile"]
        refused(ergon, line, 2, "throws keys away", "maxmemory-policy allkeys-lru", "set it to noeviction")
        assert command(forgetful, "DBSIZE") == 0


@pytest.mark.parametrize("args", COMMANDS, ids=lambda args: args[0])
def test_server_that_is_not_there_is_exit_6(ergon: Shell, args: list[str]) -> None:
    with socket.socket() as closed:  # bound, and nobody listens
        closed.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{closed.getsockname()[1]}"
        url = f"redis://me:{quote(SECRET, safe='')}@{place}"
        shown = f"store redis://me@{place}/0?namespace=ergon cannot be reached"
        refused(ergon, [*args, "--store", url], 6, shown, "check the address, and that the server runs")


@pytest.mark.parametrize("args", COMMANDS, ids=lambda args: args[0])
def test_server_that_wants_another_password_is_exit_6(ergon: Shell, locked: Server, args: list[str]) -> None:
    refused(ergon, [*args, "--store", locked.url], 6, "the server wants a password: put it into the store's address")
    wrong = with_password(locked, "wrong-word")
    refused(ergon, [*args, "--store", wrong], 6, "the server does not take this user and password")
    assert "wrong-word" not in ergon.err


@pytest.mark.parametrize(
    "url",
    [
        "redis://u:hidden",
        "redis://:hid?den@host/0",
        "redis://u:hidden@host/zero",
        "redis://u:hidden@host:port",
        "redis://u:hidden@one,two",
        "redis://u:hidden@host?sentinel_password=hidden",
        "redis://u:hidden@host#x",
        "redis://u:hidden@host?namespace=:",
        "redis+sentinel://host?sentinel_password=hidden",
        "redis+sentinal://host?sentinel_password=hidden",
        "reds://u:hidden@host",
        "redis:/u:hidden@host",
        "unix://:hidden",
        "sqlite://u:hidden@host/0",
        "memory://u:hidden@host",
    ],
)
def test_password_in_a_wrong_address_is_not_shown(ergon: Shell, url: str) -> None:
    refused(ergon, ["list", "--store", url], 2)
    assert ergon("list", "--store", url) == 2
    assert "hid" not in ergon.err
    assert "den" not in ergon.err

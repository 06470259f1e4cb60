"""The real command line on a Redis server: what it says of the server, and that it never shows the password."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.acceptance.processes import ROOT, Shop, shop, until
from tests.redis_server import new_namespace
from tests.stores.redis.servers import server

SECRET = "hushhush/?#@:quietly"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Shop]:
    """A folder with flows.py."""
    shutil.copy(ROOT / "tests/acceptance/wrong_input_flows.py", tmp_path / "flows.py")
    with shop(tmp_path) as made:
        yield made


def test_store_in_the_configuration_is_used_and_named(here: Shop) -> None:
    url = new_namespace()
    (here.folder / "ergon.toml").write_text(f'store = "{url}"\n')
    assert here.run("schedule", "hello", "--id", "one").stdout == "one\n"
    said = "fast: the server's death may take the last second or two (appendfsync everysec)"
    banner = here.run("worker", "--burst").stderr.splitlines()[0]
    assert f" · {url} · durability {said} · flows " in banner
    shown = json.loads(here.run("worker", "--burst", "--json").stdout)
    assert (shown["store"], shown["durability"]) == (url, said)
    assert here.json("inspect", "one")["status"] == "completed"
    assert not list(here.folder.glob("*.db*"))


def test_worker_runs_under_the_hash_seed_of_its_store(here: Shop) -> None:
    here.environ["ERGON_STORE"] = new_namespace()
    (here.folder / "flows.py").write_text(
        "from ergon_runtime import flow\n@flow\nasync def order() -> list[str]:\n"
        "    return list({str(n) for n in range(50)})\n"
    )
    seen: set[str] = set()
    for seed in ("0", "1"):
        here.environ["PYTHONHASHSEED"] = seed
        seen.add(here.run("run", "order").stdout)
    assert len(seen) == 1


def test_server_without_append_only_file_is_named_as_such(here: Shop) -> None:
    with server("--appendonly", "no") as forgetful:
        here.environ["ERGON_STORE"] = forgetful.url
        assert " · durability volatile: " in here.run("worker", "--burst", "--allow-volatile").stderr


def test_password_is_shown_by_no_command(here: Shop) -> None:
    with server("--requirepass", SECRET) as locked:
        here.environ["ERGON_STORE"] = f"unix://:{quote(SECRET, safe='')}@{locked.socket}"
        here.environ["ERGON_TRACEBACK"] = "1"
        written: list[str] = []
        for args in (
            ["schedule", "hello", "--id", "one"],
            ["list"],
            ["run", "hello", "--json"],
            ["signal", "x"],
            ["inspect", "one"],
            ["inspect", "none"],
            ["replay", "one"],
            ["cancel", "one"],
        ):
            done = here.run(*args, code=3 if args == ["inspect", "none"] else 0)
            written += [done.stdout, done.stderr]
        worker = here.worker()
        until(lambda: "worker" in worker.text())
        locked.kill()
        until(lambda: "cannot be reached" in worker.text())
        worker.send(signal.SIGTERM)
        worker.end()
        written.append(worker.text())
    assert [text for text in written if "hushhush" in text or "quietly" in text] == []
    assert sum(str(locked.socket) in text for text in written) == 1

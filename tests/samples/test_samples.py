"""What the cases of the samples do not show: tries, files with odd names, other commands' opinions, ledgers."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sysconfig
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ergon_runtime import Executor, open_store
from ergon_runtime.view import view_flow
from sample_flows.index_files import FileFacts, Index, index_files, list_files
from sample_flows.orders import OrderFlow, Receipt
from tests.seed.places import STORES, address


@pytest.fixture(params=STORES)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return address(request.param, tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of all kinds, and some that the index leaves out."""
    root = tmp_path / "files"
    contents = {
        "b.txt": b"one\ntwo\n",
        "a/empty": b"",
        "a/no newline": b"one\ntwo",
        "a/binary": bytes(range(256)) * 9000,
        "a/name with \u00e9.py": "caf\u00e9\n".encode(),
        "a/__pycache__/left.txt": b"out",
        "a/out.pyc": b"out",
        "site-packages/out.py": b"out",
    }
    for name, data in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (root / "link").symlink_to(root / "b.txt")
    return root


def execute(url: str, flow: Any) -> Any:
    async def work() -> Any:
        async with open_store(url) as store:
            return await Executor(flow, store).run()

    return asyncio.run(asyncio.wait_for(work(), 60))


def test_order_is_charged_at_the_second_try_under_the_same_key() -> None:
    async def work() -> tuple[Receipt, dict[str, int]]:
        async with open_store("memory://") as store:
            receipt = await Executor(OrderFlow("A-17", Decimal(5), approve_within=0.1), store, id="order").run()
            row = await store.get("order")
            assert row is not None
            view = await view_flow(store, row, now=await store.now(), workers=())
            return receipt, {each.key: each.attempts for each in view.steps}

    receipt, attempts = asyncio.run(asyncio.wait_for(work(), 60))
    assert receipt.payment == "A-17: 5 charged under order:1:charge"
    assert (attempts["charge"], attempts["refund"]) == (2, 1)


def test_index_of_a_folder_equals_hashlib_and_its_report(store_url: str, folder: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    index: Index = execute(store_url, index_files(str(folder), str(report), batch=2))
    names = ["a/binary", "a/empty", "a/name with \u00e9.py", "a/no newline", "b.txt"]
    assert index.files == [facts(folder, name) for name in names]
    data = [(folder / name).read_bytes() for name in names]
    assert (index.count, index.size) == (5, sum(map(len, data)))
    assert index.lines == sum(each.count(b"\n") for each in data)
    written = json.loads(report.read_text())
    assert (written["root"], written["lines"]) == (str(folder), index.lines)
    assert [each["sha256"] for each in written["files"]] == [each.sha256 for each in index.files]


def facts(root: Path, name: str) -> FileFacts:
    data = (root / name).read_bytes()
    return FileFacts(name, hashlib.sha256(data).hexdigest(), len(data), data.count(b"\n"))


def test_index_of_library_files_equals_sha256sum_and_wc() -> None:
    root = Path(sysconfig.get_path("stdlib"), "json")
    index: Index = execute("memory://", index_files(str(root)))
    assert index.count >= 5
    for file in index.files:
        path = str(root / file.path)
        assert output("sha256sum", path).split()[0] == file.sha256
        assert [int(n) for n in output("wc", "-l", "-c", path).split()[:2]] == [file.lines, file.size]


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout


def test_index_without_a_folder_lists_the_standard_library() -> None:
    listing = asyncio.run(asyncio.wait_for(list_files(None), 60))  # outside a flow it is its plain function
    root = Path(sysconfig.get_path("stdlib")).resolve()
    kept = [
        path.relative_to(root)
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink() and path.suffix != ".pyc"
    ]
    parts = {"__pycache__", "site-packages"}
    assert listing.root == str(root)
    assert listing.paths == sorted(path.as_posix() for path in kept if not parts & set(path.parts[:-1]))
    assert {"asyncio/tasks.py", "json/decoder.py", "os.py"} <= set(listing.paths)


def test_index_with_a_ledger_notes_each_step_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tmp_path / "ledger"
    monkeypatch.setenv("ERGON_LEDGER", str(ledger))
    execute("memory://", index_files(str(folder), str(tmp_path / "report.json")))
    lines = [line.split() for line in ledger.read_text().splitlines()]
    assert sorted(key for _, key, *_ in lines) == sorted(
        ["list_files", *(f"{n}/measure" for n in range(1, 6)), "write_report"]
    )
    assert {attempt for _, _, attempt, _ in lines} == {"1"}

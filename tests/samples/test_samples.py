"""The sample flows do what their docstrings say, on the memory store and on SQLite."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sysconfig
from collections.abc import Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ergon_runtime import Executor, FlowHandle, Scheduler, Worker, open_store
from ergon_runtime.view import view_flow
from sample_flows.hello import hello
from sample_flows.index_files import FileFacts, Index, index_files, list_files
from sample_flows.orders import BadOrder, OrderFlow, Receipt, ship

T = TypeVar("T")


@pytest.fixture(params=["memory", "sqlite"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'ergon.db'}"


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


def order(url: str, flow: OrderFlow, decision: object = None) -> tuple[Receipt, dict[str, int]]:
    """An order's receipt, and the attempts of each of its steps. The decision is sent before the order waits for it."""

    async def work() -> tuple[Receipt, dict[str, int]]:
        async with open_store(url) as store:
            running = await Worker(store).register(OrderFlow, ship).start()
            try:
                handle: FlowHandle[Receipt] = await Scheduler(store).schedule(flow)
                if decision is not None:
                    await handle.signal(f"approve-{flow.order_id}", decision)
                receipt = await handle.result(timeout=30)
                row = await store.get(handle.id)
                assert row is not None
                view = await view_flow(store, row, now=await store.now(), workers=())
                return receipt, {each.key: each.attempts for each in view.steps}
            finally:
                await running.shutdown()

    return run(work())


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, 60))


def test_hello_run_to_its_end_greets_and_leaves(store_url: str) -> None:
    assert execute(store_url, hello("Ada", pause=0.01)) == "Hello, Ada! Goodbye, Ada!"


def test_order_approved_is_charged_at_the_second_try_and_shipped(store_url: str) -> None:
    receipt, attempts = order(store_url, OrderFlow("A-17", Decimal("99.50")), {"approved": True, "by": "Ada"})
    assert (receipt.outcome, receipt.parcel, receipt.decided_by) == ("shipped", "parcel-A-17", "Ada")
    assert receipt.amount == Decimal("99.50")
    assert attempts["charge"] == 2
    assert "refund" not in attempts


def test_order_refused_is_refunded_and_not_shipped(store_url: str) -> None:
    receipt, attempts = order(store_url, OrderFlow("A-17", Decimal(5)), {"approved": False, "by": "Ada"})
    assert (receipt.outcome, receipt.parcel) == ("refunded", None)
    assert attempts["refund"] == 1
    assert "ship" not in attempts


def test_order_nobody_decides_on_is_refunded_when_its_time_is_over(store_url: str) -> None:
    receipt, _ = order(store_url, OrderFlow("A-17", Decimal(5), approve_within=0.3))
    assert (receipt.outcome, receipt.decided_by) == ("refunded", "nobody")


def test_order_without_an_amount_fails_as_a_bad_order() -> None:
    with pytest.raises(BadOrder, match="must be above 0"):
        execute("memory://", OrderFlow("A-17", Decimal(0)))


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

"""The demonstration: flows that survive the death of their worker, with real processes.

Run it with `make demo`, or `python sample_flows/demo.py`. It schedules two orders and an index of the Python standard
library in a temporary folder, starts a worker, kills it with SIGKILL in the middle, starts another, approves one order
and refuses the other, and shows the first with `ergon inspect` and `ergon replay`. The commands are printed. It ends
with 0 if everything was as promised, with 1 if not, within a minute, and leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ERGON = (sys.executable, "-m", "ergon_cli")
"""What the command `ergon` runs; this way the checkout's own code is used."""
LIMIT = 110.0
ENOUGH = 300
"""Files to measure before the worker is killed."""


class Broken(Exception):
    """Something was not as promised."""


class Demo:
    """One demonstration, in one folder. Everything it waits for has the same deadline."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.deadline = folder, time.monotonic() + LIMIT
        self.ledger, self.report = folder / "ledger", folder / "index.json"
        self.workers: list[subprocess.Popen[bytes]] = []
        modules = f"{HERE / 'orders.py'} {HERE / 'index_files.py'}"
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("ERGON_")} | {
            "PYTHONPATH": str(HERE.parent),
            "ERGON_STORE": f"sqlite:///{folder / 'ergon.db'}",
            "ERGON_MODULES": modules,
            "ERGON_LEDGER": str(self.ledger),
            "ERGON_DELAY": "0.02",
        }

    def ergon(self, *args: str, lines: int | None = None) -> None:
        """Show a command and its output, the first `lines` of it. Raises Broken when it fails."""
        print(f"\n$ ergon {shlex.join(args)}", flush=True)
        direct = lines is None and sys.stdout.isatty()  # then it writes for people, aligned and in colour
        done = self.run(args, None if direct else subprocess.PIPE)
        if not direct:
            output = (done.stdout + done.stderr).rstrip().splitlines()
            for line in output[:lines]:
                print(line[:160])
            if lines is not None and len(output) > lines:
                print(f"... and {len(output) - lines} lines more")
        check(done.returncode == 0, f"ergon {args[0]} ended with {done.returncode}: {done.stderr}")

    def flow(self, flow_id: str) -> dict[str, Any]:
        done = self.run(("inspect", flow_id, "--json"), subprocess.PIPE)
        check(done.returncode == 0, f"ergon inspect ended with {done.returncode}: {done.stderr}")
        flow: dict[str, Any] = json.loads(done.stdout)
        return flow

    def waits_for(self, flow_id: str) -> object:
        why: dict[str, object] = self.flow(flow_id)["why"] or {}
        return why.get("name")

    def run(self, args: Sequence[str], output: int | None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603  our own command
            [*ERGON, *args],
            cwd=self.folder,
            env=self.environment,
            stdout=output,
            stderr=output,
            text=True,
            timeout=max(1.0, self.deadline - time.monotonic()),
            check=False,
        )

    def start_worker(self, *args: str) -> subprocess.Popen[bytes]:
        print(f"\n$ ergon worker {shlex.join(args)} &", flush=True)
        with (self.folder / f"worker{len(self.workers) + 1}.log").open("wb") as log:
            worker = subprocess.Popen(  # noqa: S603  our own command
                [*ERGON, "worker", *args], cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )
        self.workers.append(worker)
        return worker

    def wait_for(self, what: str, condition: Callable[[], bool]) -> None:
        """Raises Broken when it takes too long or the worker ends."""
        while not condition():
            check(time.monotonic() < self.deadline, f"no {what} within {LIMIT:.0f} s")
            check(self.workers[-1].poll() is None, f"the worker ended before {what}; see its log below")
            time.sleep(0.05)

    def effects(self) -> list[str]:
        """The keys of the index's steps whose bodies have done their work, as often as they did it."""
        lines = self.ledger.read_text().splitlines() if self.ledger.exists() else []
        return [key for flow_id, key, *_ in map(str.split, lines) if flow_id == "index"]

    def stop(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
                worker.wait()


def check(promise: bool, otherwise: str) -> None:
    if not promise:
        raise Broken(otherwise)


def play(demo: Demo) -> None:
    demo.ergon("schedule", "OrderFlow", "-a", "order_id=A-17", "-a", "amount=99.50", "--id", "order-A-17")
    demo.ergon("schedule", "OrderFlow", "-a", "order_id=B-4", "-a", "amount=12", "--id", "order-B-4")
    demo.ergon("schedule", "index_files", "-a", f"report={demo.report}", "--id", "index")
    first = demo.start_worker("--lease", "2s")
    demo.wait_for(f"{ENOUGH} files measured", lambda: len(demo.effects()) >= ENOUGH)
    first.kill()
    first.wait()
    recorded = {step["key"] for step in demo.flow("index")["steps"] if step["status"] == "completed"}
    print(f"\nThe worker is dead (SIGKILL), with {len(recorded)} steps of the index recorded. Another takes over.")
    second = demo.start_worker("--lease", "2s")
    demo.wait_for("order that waits", lambda: demo.waits_for("order-A-17") == "approve-A-17")
    demo.ergon("inspect", "order-A-17")
    demo.ergon("signal", "approve-A-17", '{"approved": true, "by": "Ada"}')
    demo.ergon("signal", "approve-B-4", '{"approved": false, "by": "Ada"}')
    flows = ("order-A-17", "order-B-4", "index")
    demo.wait_for("end of all flows", lambda: all(demo.flow(each)["status"] == "completed" for each in flows))
    demo.ergon("list")
    demo.ergon("inspect", "order-A-17")
    demo.ergon("replay", "order-A-17")
    demo.ergon("inspect", "index", lines=10)
    demo.ergon("replay", "index")
    check_promises(demo, recorded)
    second.send_signal(signal.SIGTERM)
    check(second.wait(max(1.0, demo.deadline - time.monotonic())) == 0, "the worker did not end with 0 on SIGTERM")


def check_promises(demo: Demo, recorded: set[str]) -> None:
    effects = demo.effects()
    again = [key for key in recorded if effects.count(key) != 1]
    check(not again, f"steps recorded before the kill ran again: {again[:5]}")
    index = demo.flow("index")["result"]
    check(json.loads(demo.report.read_text()) == index, "the report differs from the flow's result")
    for file in index["files"]:
        data = Path(index["root"], file["path"]).read_bytes()
        facts = (hashlib.sha256(data).hexdigest(), len(data), data.count(b"\n"))
        check(facts == (file["sha256"], file["size"], file["lines"]), f"wrong facts of {file['path']}")
    outcomes = [demo.flow(order)["result"]["outcome"] for order in ("order-A-17", "order-B-4")]
    check(outcomes == ["shipped", "refunded"], f"the orders ended as {outcomes}")
    repeated = len(effects) - len(set(effects))
    print(f"\nAll as promised: {index['count']} files indexed, as hashlib says; one order shipped, one refunded.")
    print(f"Of the {len(recorded)} steps of the index recorded before the kill none ran again.")
    if repeated:
        print(f"{repeated} that had done their work, but were not recorded yet, did.")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="ergon-demo-") as folder:
        demo = Demo(Path(folder))
        try:
            play(demo)
        except (Broken, subprocess.TimeoutExpired) as broken:
            print(f"\nNOT as promised: {broken}", file=sys.stderr)
            for log in sorted(demo.folder.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text()[-2000:]}", file=sys.stderr)
            return 1
        finally:
            demo.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())

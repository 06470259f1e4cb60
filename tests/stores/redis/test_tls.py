"""rediss://: the server's certificate is verified, and whoever is refused is told why."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ergon_runtime.errors import StoreUnavailable
from tests.redis_proxy import Proxy
from tests.redis_server import shared_server
from tests.stores.harness import new
from tests.stores.redis.servers import opened, run

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="certificates are made with openssl")
EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


def openssl(folder: Path, *args: str) -> None:
    subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True, timeout=30)


def authority(folder: Path, name: str) -> Path:
    """A CA of its own; the file of its certificate."""
    usage = ("-addext", "keyUsage=critical,keyCertSign")
    files = ("-keyout", f"{name}.key", "-out", f"{name}.pem")
    openssl(folder, "req", "-x509", *EC, "-subj", f"/CN={name}", *usage, *files)
    return folder / f"{name}.pem"


def certified(folder: Path, ca: Path, host: str) -> ssl.SSLContext:
    """A server's context with a certificate for this host."""
    (folder / "ext").write_text(f"subjectAltName={host}\nauthorityKeyIdentifier=keyid\nbasicConstraints=CA:FALSE\n")
    openssl(folder, "req", "-new", *EC[:-2], "-subj", "/CN=server", "-keyout", "server.key", "-out", "server.csr")
    signed = ("-CA", str(ca), "-CAkey", str(ca.with_suffix(".key")), "-CAcreateserial", "-extfile", "ext", "-days", "2")
    openssl(folder, "x509", "-req", "-in", "server.csr", *signed, "-out", "server.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context


@asynccontextmanager
async def served(context: ssl.SSLContext | None) -> AsyncIterator[str]:
    """The host and port of a server that is reached over TLS."""
    proxy = Proxy(shared_server().socket, context)
    await proxy.start()
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # a failed handshake is the server's trouble too
    try:
        yield f"127.0.0.1:{proxy.port}/0?namespace={secrets.token_hex(6)}"
    finally:
        await proxy.stop()


def test_a_server_with_a_trusted_certificate_serves(tmp_path: Path) -> None:
    async def main() -> None:
        ca = authority(tmp_path, "ours")
        context = certified(tmp_path, ca, "IP:127.0.0.1")
        async with served(context) as place, opened(f"rediss://{place}&ca={ca}") as store:
            assert await store.create(new("a"))
            assert await store.get("a") is not None

    run(main)


@pytest.mark.parametrize("case", ["another ca", "no ca", "another host"])
def test_a_server_that_is_not_trusted_is_refused_with_what_to_do(tmp_path: Path, case: str) -> None:
    async def main() -> None:
        ours, other = authority(tmp_path, "ours"), authority(tmp_path, "other")
        host = "DNS:elsewhere.example" if case == "another host" else "IP:127.0.0.1"
        named = {"another ca": f"&ca={other}", "no ca": "", "another host": f"&ca={ours}"}[case]
        async with served(certified(tmp_path, ours, host)) as place:
            with pytest.raises(StoreUnavailable, match=r"certificate is not trusted.*\?ca="):
                async with opened(f"rediss://{place}{named}"):
                    pass

    run(main)


def test_tls_spoken_to_a_server_without_it_is_told() -> None:
    async def main() -> None:
        async with served(None) as place:
            with pytest.raises(StoreUnavailable, match="that it speaks TLS there"):
                async with opened(f"rediss://{place}"):
                    pass

    run(main)


def test_a_missing_ca_file_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(None) as place:
            with pytest.raises(StoreUnavailable, match=r"no file .*absent\.pem"):
                async with opened(f"rediss://{place}&ca={tmp_path}/absent.pem"):
                    pass

    run(main)

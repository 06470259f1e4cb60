"""Network file systems are refused before anything is touched there; local ones, and those nobody can tell, are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from ergon_runtime.errors import StoreUnavailable
from ergon_runtime.stores.sqlite import SQLiteOptions, SQLiteStore, places
from tests.stores.files import READ_ONLY, create_a, nothing, using

ROOT = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw"


def mount(point: str, kind: str, options: str = "rw") -> str:
    """A line of the table of mounts, with fields between as the kernel writes them."""
    return f"40 27 0:30 / {point} rw,relatime shared:1 - {kind} source {options}"


@pytest.mark.parametrize(
    ("kind", "remote"),
    [
        *[(kind, True) for kind in ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "gpfs", "glusterfs", "afs")],
        *[(f"fuse.{kind}", True) for kind in ("sshfs", "s3fs", "rclone", "glusterfs", "gcsfuse", "grpcfuse")],
        *[(kind, False) for kind in ("ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "apfs", "fuseblk", "virtiofs")],
        *[(f"fuse.{kind}", False) for kind in ("mergerfs", "gocryptfs", "ntfs-3g", "fuse-overlayfs")],
    ],
)
def test_file_system_is_refused_if_it_is_on_the_network(kind: str, remote: bool) -> None:
    table = f"{ROOT}\n{mount('/mnt/nas', kind)}\n"
    assert places.network(table, "/mnt/nas/ergon.db") == (kind if remote else None)
    assert places.network(table, "/mnt/ergon.db") is None


@pytest.mark.parametrize(
    ("lines", "path", "kind"),
    [
        ([ROOT, mount("/a", "nfs"), mount("/a/b", "ext4")], "/a/b/s.db", None),
        ([ROOT, mount("/a/b", "ext4"), mount("/a", "nfs")], "/a/c/s.db", "nfs"),
        ([ROOT, mount("/a", "nfs")], "/ab/s.db", None),
        ([ROOT, mount("/a", "ext4"), mount("/a", "nfs")], "/a/s.db", "nfs"),  # the later one covers the earlier
        ([ROOT, mount("/a", "nfs"), mount("/a", "ext4")], "/a/s.db", None),
        ([ROOT, mount(r"/my\040disk\134", "cifs")], "/my disk\\/s.db", "cifs"),
        ([mount("/", "nfs")], "/s.db", "nfs"),
        ([mount("/", "9p", "rw,trans=fd,rfdno=4,wfdno=4,aname=/")], "/s.db", None),
        ([mount("/", "9p", "rw,trans=fd,rfd=8,wfd=8")], "/s.db", "9p"),
        (["", "nonsense", "- nfs", ROOT], "/s.db", None),
        ([], "/s.db", None),
    ],
)
def test_path_is_looked_up_under_its_nearest_mount(lines: list[str], path: str, kind: str | None) -> None:
    assert places.network("\n".join(lines), path) == kind


@pytest.mark.parametrize("options", [SQLiteOptions(), READ_ONLY, SQLiteOptions(create=False)])
def test_store_on_a_network_file_system_is_refused_and_not_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: SQLiteOptions
) -> None:
    (tmp_path / "nas").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nas")
    (tmp_path / "mountinfo").write_text(mount(str(tmp_path / "nas"), "nfs4"))
    monkeypatch.setattr(places, "_TABLE", tmp_path / "mountinfo")
    with pytest.raises(StoreUnavailable, match=r"on a network file system \(nfs4\).*\?network=allow"):
        using(SQLiteStore(tmp_path / "link" / "s.db", options), nothing)
    assert list((tmp_path / "nas").iterdir()) == []
    using(SQLiteStore(tmp_path / "link" / "s.db", SQLiteOptions(network=True)), create_a)


def test_store_opens_where_no_table_tells_of_mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_TABLE", tmp_path / "none")
    using(SQLiteStore(tmp_path / "s.db"), create_a)

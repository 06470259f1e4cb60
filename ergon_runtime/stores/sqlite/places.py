"""Which file systems a store may live on: SQLite's WAL mode needs memory and locks that all its processes share.

Over a network two machines would have a log index each, and damage the file without an error. On Linux the kernel's
table of mounts tells what a path is on; elsewhere nothing is checked.
"""

from __future__ import annotations

import re
from pathlib import Path

from ergon_runtime.errors import StoreUnavailable

_TABLE = Path("/proc/self/mountinfo")
_REMOTE = re.compile(
    r"9p|acfs|afs3?|beegfs|ceph|cifs|coda|gfs2?|glusterfs|gpfs|lustre|ncp(fs)?|nfs4?|ocfs2|orangefs|panfs|pvfs2|smb3|smbfs"
    r"|vboxsf|vmhgfs"
)
_REMOTE_FUSE = re.compile(
    r"afp|azure|blobfuse2?|ceph(fs)?|curlftpfs|davfs2?|gcsfuse|geesefs|glusterfs|goofys|google-drive-ocamlfuse|grpcfuse"
    r"|gvfsd-fuse|hdfs|juicefs|lizardfs|mfs|moosefs|nfs|osxfs|quobyte|rclone|s3fs|s3ql|seaweedfs|smb|smbnetfs|sshfs"
    r"|vmhgfs-fuse"
)
"""Kinds of `fuse` whose data lies elsewhere. All others, such as ntfs-3g, mergerfs or gocryptfs, are local."""
_ESCAPED = re.compile(r"\\([0-7]{3})")


def check(path: str) -> None:
    """Raises StoreUnavailable if a path, without symbolic links, is on a network file system."""
    try:
        table = _TABLE.read_text("utf-8", "surrogateescape")
    except OSError:
        return
    kind = network(table, path)
    if kind is not None:
        raise StoreUnavailable(
            f"store {path} is on a network file system ({kind}), where SQLite can damage it; put it on a local disk, "
            "use a Redis store, or, if one machine alone will ever use it, add ?network=allow to its address"
        )


def network(table: str, path: str) -> str | None:
    """The kind of network file system that a path is on, by a table of mounts; None if it is local or unknown."""
    best, found = -1, None
    for line in table.splitlines():
        before, separator, after = line.partition(" - ")
        fields, kinds = before.split(" "), after.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = _plain(fields[4]).rstrip("/")
        if len(point) >= best and (path == point or path.startswith(f"{point}/")):  # a later mount covers an earlier
            best, found = len(point), kinds
    return None if found is None else _remote(found)


def _remote(kinds: list[str]) -> str | None:
    kind = kinds[0]
    if kind == "9p" and "rfdno=" in kinds[-1]:
        return None  # so gVisor, a sandbox, calls its own files
    name, _, subtype = kind.partition(".")
    if name == "fuse":
        return kind if _REMOTE_FUSE.fullmatch(subtype.lower()) else None
    return kind if _REMOTE.fullmatch(kind) else None


def _plain(field: str) -> str:
    r"""A field without the table's escapes: a blank is \040 there."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), field)

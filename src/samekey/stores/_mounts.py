"""Which file systems a store must not lie on."""

import os
import re
from pathlib import Path
from typing import Final

MOUNTINFO: Path = Path("/proc/self/mountinfo")
"""Where Linux lists the mounts; other systems have nothing of the kind, and nothing is refused there."""

# Their locks and shared memory do not reach over the network, so two machines would corrupt the file.
NETWORK: Final = frozenset(
    {
        "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.ceph", "fuse.cephfs", "fuse.davfs2",
        "fuse.gcsfuse", "fuse.glusterfs", "fuse.juicefs", "fuse.rclone", "fuse.s3fs", "fuse.smbnetfs", "fuse.sshfs",
        "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb3", "smbfs",
    }
)  # fmt: skip


def network_file_system(path: str) -> str | None:
    """The type of the network file system that holds `path`; None if it is a local one, or nothing tells."""
    try:
        lines = MOUNTINFO.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    best, kind = -1, ""
    real = os.path.realpath(path)
    for line in lines:
        mount = _mount(line)
        # Of two mounts at one point the later one covers the earlier.
        if mount is not None and len(mount[0]) >= best and _lies_under(real, mount[0]):
            best, kind = len(mount[0]), mount[1]
    return kind if kind in NETWORK else None


def _mount(line: str) -> tuple[str, str] | None:
    before, dash, after = line.partition(" - ")
    fields = before.split(" ")
    if not dash or len(fields) < 5:
        return None
    point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
    return point, after.split(" ")[0]


def _lies_under(path: str, point: str) -> bool:
    return point in {"/", path} or path.startswith(point + "/")

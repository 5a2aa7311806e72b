"""Which filesystems a source lies on, as far as it matters for being told of changes.

Called by `lookout`. Reads the kernel's mount table, never the filesystems themselves (one that hangs would hang here).
"""

from __future__ import annotations

import re
from pathlib import Path

MOUNT_TABLE = Path("/proc/self/mountinfo")

NETWORK = "9p afs ceph cifs coda glusterfs ncpfs nfs nfs4 smb2 smb3 smbfs"
CLUSTER = "beegfs gfs2 gpfs lustre ocfs2 orangefs pvfs2"
HOST = "fuse overlay prl_fs vboxsf virtiofs"
UNTOLD = frozenset(f"{NETWORK} {CLUSTER} {HOST}".split())
"""Types whose files may change without the kernel's knowledge: on a server, in a program, in a lower layer."""


def untold_filesystem(root: str, table: Path = MOUNT_TABLE) -> str | None:
    """The type of a filesystem at or below the resolved `root` that may change without inotify telling, None if there
    is none or the mount table cannot be read. The table's format: proc(5), /proc/pid/mountinfo."""
    try:
        text = table.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    inside = root.rstrip("/") + "/"
    own_point, own, below = "", "", []
    for line in text.splitlines():
        fields, _, rest = line.partition(" - ")
        point, kind = _unescape(fields.split(" ")[4]), rest.split(" ")[0]
        if inside.startswith(point.rstrip("/") + "/"):
            # of several on one point the last one covers the others
            own_point, own = (point, kind) if len(point) >= len(own_point) else (own_point, own)
        elif point.startswith(inside):
            below.append(kind)
    return next((kind for kind in [own, *below] if _is_untold(kind)), None)


def _is_untold(kind: str) -> bool:
    return kind in UNTOLD or kind.startswith("fuse.")


def _unescape(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)

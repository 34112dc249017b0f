"""Which file system a path is on, as far as it matters: the spool must not lie on a network's.

SQLite's WAL wants shared mappings and locks that every process on the file agrees about. Network file systems
and the shared folders of virtual machines promise neither.
"""

from __future__ import annotations

import os

KERNEL = (
    "9p afs beegfs ceph cifs coda gfs2 glusterfs gpfs lustre nfs nfs4 ocfs2 orangefs prl_fs smb3 smbfs vboxsf vmhgfs"
)
FUSE = (  # fuse.NAME in mountinfo
    "blobfuse blobfuse2 ceph-fuse curlftpfs davfs gcsfuse glusterfs goofys grpcfuse juicefs moosefs mount-s3 osxfs"
    " rclone s3fs smbnetfs sshfs vmhgfs-fuse"
)
NETWORK_FILE_SYSTEMS = frozenset([*KERNEL.split(), *(f"fuse.{name}" for name in FUSE.split())])


def network_file_system(path: str, mountinfo: str) -> str:
    """The type of the network file system that holds ``path`` (resolved); empty when it is a local one."""
    kind = file_system(path, mountinfo)
    return kind if kind in NETWORK_FILE_SYSTEMS else ""


def file_system(path: str, mountinfo: str) -> str:
    """The type of the file system that holds ``path`` (resolved); empty where that cannot be told."""
    longest, kind = 0, ""
    for line in mountinfo.split("\n"):
        mount, _, rest = line.partition(" - ")
        fields = mount.split(" ")
        if len(fields) < 5 or not rest:
            continue
        point = _unescaped(fields[4])
        # >=: of two mounts on one point the later one is on top
        if len(point) >= longest and (path + "/").startswith(point.rstrip("/") + "/"):
            longest, kind = len(point), rest.split(" ", 1)[0]
    return kind


def read_mountinfo() -> str:
    """The mounts as this process sees them; empty where there is no such file, and every path counts as local."""
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            return os.fsdecode(file.read())
    except OSError:
        return ""


def _unescaped(point: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        point = point.replace(code, char)
    return point

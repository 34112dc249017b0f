from __future__ import annotations

import pytest

from recost._mounts import network_file_system, read_mountinfo

MOUNTS = """\
22 1 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:50 / /home rw,relatime shared:1 master:2 - nfs4 nas:/home rw,vers=4.2
31 30 0:51 / /home/local rw - xfs /dev/vdb rw
32 27 0:52 / /mnt/with\\040space\\134x rw - cifs //nas/x rw
33 27 0:53 / /mnt/twice rw - ext4 /dev/vdc rw
34 33 0:54 / /mnt/twice rw - fuse.sshfs host:/x rw
35 27 0:55 / /mnt/fuse rw - fuse.mergerfs pool rw
36 27 0:56 / /mnt/c rw - 9p C: rw
a broken line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", ""),
        ("/var/tmp", ""),
        ("/home/joe/.recost", "nfs4"),
        ("/home", "nfs4"),
        ("/homeless", ""),
        ("/home/local/joe", ""),
        ("/mnt/with space\\x/y", "cifs"),
        ("/mnt/twice/y", "fuse.sshfs"),
        ("/mnt/fuse", ""),
        ("/mnt/c/Users", "9p"),
    ],
)
def test_the_longest_mount_point_decides(path: str, kind: str):
    assert network_file_system(path, MOUNTS) == kind


def test_without_a_list_of_mounts_every_path_is_local():
    assert network_file_system("/home/joe", "") == ""
    assert network_file_system("/proc/self", read_mountinfo()) == ""

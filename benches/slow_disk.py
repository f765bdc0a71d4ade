"""The disk of a directory slowed for the processes of one control group."""

import os
from contextlib import contextmanager
from pathlib import Path

from control_group import remove

GROUPS = Path("/sys/fs/cgroup/blkio")
LIMITS = ["blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device"]


@contextmanager
def slow_disk(directory, bytes_per_s):
    """A control group whose processes read and write the directory's disk no faster; None where there can be none.

    It takes the group `blkio` of version 1 and root. What a process waits for is limited, direct writes, reads and its own fsync;
    what the kernel writes back by itself is not."""
    group = GROUPS / f"rollfit_bench_{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        yield None
        return
    try:
        for limit in LIMITS:
            (group / limit).write_text(f"{whole_disk(directory)} {bytes_per_s}")
        yield group
    finally:
        remove(group)


def whole_disk(directory):
    """The numbers of the device: limits are of disks, not of partitions."""
    device = os.stat(directory).st_dev
    path = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
    return ((path.parent if (path / "partition").exists() else path) / "dev").read_text().strip()

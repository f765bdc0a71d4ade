"""Control groups of version 1 and 2 that give a process less of the processor or of memory than the machine has."""

import os
import time
from contextlib import contextmanager
from pathlib import Path

PERIOD_US = 100_000


class NoControlGroup(Exception):
    """There can be none here: why."""


@contextmanager
def control_group(controller, limits):
    """A group of `cpu` or `memory`, below that of this process, with these limits: the contents of files by name."""
    group = below(controller) / f"rollfit_bench_{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        raise NoControlGroup(f"{group} cannot be made: {error.strerror}") from error
    try:
        for name, value in limits(group).items():
            try:
                (group / name).write_text(value)
            except OSError as error:
                raise NoControlGroup(f"{group / name} cannot be written: {error.strerror}") from error
        yield group
    finally:
        remove(group)


def cpu_quota(cores):
    """A group whose processes get so many cores."""
    quota = round(cores * PERIOD_US)

    def limits(group):
        if (group / "cpu.cfs_quota_us").exists():
            return {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(quota)}
        return {"cpu.max": f"{quota} {PERIOD_US}"}

    return control_group("cpu", limits)


def memory_limit(size):
    """A group whose processes hold no more bytes."""

    def limits(group):
        version_1 = (group / "memory.limit_in_bytes").exists()
        return {"memory.limit_in_bytes" if version_1 else "memory.max": str(size)}

    return control_group("memory", limits)


def below(controller):
    """The directory of this process's group, of version 1 or 2, below which the controller can be used."""
    version_2 = None
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return mounted("cgroup", controller) / path.lstrip("/")
        if controllers == "":
            version_2 = path.lstrip("/")
    if version_2 is None:
        raise NoControlGroup(f"this machine has no control groups of {controller}")
    group = mounted("cgroup2", None)
    # Below a group that holds processes there are no limits, but beside it.
    for candidate in [group / version_2, *(group / version_2).parents]:
        enabled = candidate / "cgroup.subtree_control"
        if enabled.exists() and controller in enabled.read_text().split():
            return candidate
    raise NoControlGroup(f"no control group above this process hands {controller} on")


def mounted(kind, controller):
    """Where the hierarchy is mounted."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        mount_kind, _, options = after.split(" ", 2)
        if mount_kind == kind and (controller is None or controller in options.split(",")):
            return Path(before.split()[4])
    raise NoControlGroup(f"no {kind} is mounted")


def remove(group):
    """A group can be removed a moment after its last process has ended."""
    for _ in range(50):
        try:
            return group.rmdir()
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{group} is still in use; remove it with rmdir")

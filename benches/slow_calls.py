"""Processes whose disk is slow for a while: slow_calls.c, preloaded into them."""

import subprocess
from contextlib import contextmanager
from pathlib import Path


class SlowCalls:
    """The library, and the file that says how slow syncs are."""

    def __init__(self, directory):
        self.library = Path(directory).resolve() / "slow_calls.so"
        self.sync_ms = self.library.with_name("slow_sync_ms")
        self.sync_ms.unlink(missing_ok=True)
        source = Path(__file__).with_name("slow_calls.c")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", self.library, source, "-ldl"], check=True)

    def environment(self, read_bytes_per_s=None):
        """What a process has to be started with; it reads the sources of a Parquet store no faster."""
        environment = {"LD_PRELOAD": str(self.library), "SLOW_SYNC_FILE": str(self.sync_ms)}
        if read_bytes_per_s is not None:
            environment |= {"SLOW_READ_PATH": "/sources/", "SLOW_READ_BYTES_PER_S": str(read_bytes_per_s)}
        return environment

    @contextmanager
    def syncs(self, more_ms):
        """Each sync of those processes takes so much longer meanwhile."""
        if more_ms:
            self.sync_ms.write_text(str(more_ms))
        try:
            yield
        finally:
            self.sync_ms.unlink(missing_ok=True)

"""What it costs to watch a run: the processor time of the threads that are no workers, over that of the process.

Runs the command given and looks at its threads until it ends. The main thread counts from the first worker on: before, it
plans. Prints one line. Called by ./bench.sh sampling.
"""

import resource
import subprocess
import sys
import time
from pathlib import Path

LOOK_S = 0.02


def threads(process):
    """The name and the processor time of each thread, in seconds."""
    for task in Path(f"/proc/{process.pid}/task").glob("*"):
        try:
            name = (task / "comm").read_text().strip()
            yield task.name, name, int((task / "schedstat").read_text().split()[0]) / 1e9
        except (OSError, IndexError):
            continue  # It has ended since it was listed.


process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
main, before_work, watching, names = str(process.pid), None, {}, {}
while process.poll() is None:
    seen = list(threads(process))
    if before_work is None and any(name.startswith("worker") for _, name, _ in seen):
        before_work = next((seconds for thread, _, seconds in seen if thread == main), 0.0)
    for thread, name, seconds in seen:
        if before_work is not None and not name.startswith("worker"):
            watching[thread] = seconds - (before_work if thread == main else 0.0)
            names[thread] = "the watch over the workers" if thread == main else name
    time.sleep(LOOK_S)

if process.returncode != 0 or before_work is None:
    sys.exit(f"the run ended with {process.returncode}, workers were {'not ' if before_work is None else ''}seen")
used = resource.getrusage(resource.RUSAGE_CHILDREN)
whole = used.ru_utime + used.ru_stime
parts = ", ".join(f"{names[thread]} {seconds * 1e3:.1f} ms" for thread, seconds in watching.items() if seconds > 0)
print(f"{sum(watching.values()):.3f} s of {whole:.2f} s of processor time, {sum(watching.values()) / whole:.2%}: {parts}")

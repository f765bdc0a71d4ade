"""The whole reference workload beside its floor, in one pass: workload.py ROLLFIT FLOOR DIRECTORY [BEFORE].

The arguments are those of files.py. BEFORE, ROLLFIT, the floor and ROLLFIT again each write as many partitions of the same sizes, after the
disk has come to rest; the floor has the bytes of one month in memory and writes the others with them. Called by ./bench.sh workload.
"""

import shutil
import sys
from pathlib import Path

from measured import forget, parquet_files
from parquet_store import ParquetStore, print_medians

MONTH_HELD = "month=2017-01"

rollfit, floor, directory = sys.argv[1], sys.argv[2], Path(sys.argv[3])
before = sys.argv[4] if len(sys.argv) > 4 else None
store = ParquetStore(directory, floor)
held, sizes, state = directory / "held_month", directory / "sizes", directory / "state_before"


def hold():
    """Puts the sizes of all files aside, and the files of one month."""
    files = parquet_files(store.features)
    sizes.write_text("".join(f"{path.stat().st_size}\n" for path in files))
    forget(held)
    for path in files:
        if MONTH_HELD in path.parts:
            into = held / path.parent.parent.name
            into.mkdir(parents=True)
            shutil.move(path, into)


measured = {}
if before:
    measured["before"] = store.run(before, ROLLFIT_STATE_DIR=str(state))
measured["rollfit"] = store.run(rollfit)
hold()
measured["floor"] = store.write_floor(held, measured["rollfit"]["rows"], "direct", sizes)
measured["rollfit again"] = store.run(rollfit)
assert measured["floor"]["bytes"] == measured["rollfit"]["bytes"] == measured["rollfit again"]["bytes"]
print_medians([measured])
forget(store.features, store.scratch, held, sizes, state)

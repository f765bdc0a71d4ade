"""A rollfit job on Dask: python dask_job.py CONFIG [SCHEDULER]. Every machine finds CONFIG and the store under the same name."""
import collections, signal, sys, threading
import rollfit
from dask.distributed import Client, as_completed

if __name__ == "__main__":
    config, stop, running, tries = sys.argv[1], threading.Event(), {}, collections.Counter()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for the workers that Client starts where no SCHEDULER is named
    client, done = Client(*sys.argv[2:]), as_completed()
    signal.signal(signal.SIGINT, lambda *_: (stop.set(), signal.signal(signal.SIGINT, signal.default_int_handler)))
    ends = dict.fromkeys(rollfit.partitions(config))
    left = list(reversed(ends))
    while running or left and not stop.is_set():
        while left and not stop.is_set() and len(running) <= 2 * sum(client.nthreads().values()):
            future = client.submit(rollfit.run_partition, config, left[-1], pure=False)  # again if its worker dies
            running[future] = left.pop()
            done.add(future)
        for future in running and [next(done)]:
            partition, error = running.pop(future), future.exception()
            ends[partition], tries[partition] = error or future.result(), tries[partition] + 1
            if getattr(error, "retry", False) and tries[partition] < 3:
                left.append(partition)
            print(f"{len(ends) - len(left) - len(running)}/{len(ends)} {ends[partition]}", flush=True)
    report = rollfit.summarize(ends)  # what a Ctrl-C left out is not started; a second Ctrl-C rolls back what runs
    sys.exit(print(report) or report.exit_code)

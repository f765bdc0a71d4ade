"""A rollfit job on Dask: python dask_job.py CONFIG [SCHEDULER]. Every machine finds CONFIG and the store under the same name."""

import collections, os, signal, sys, threading
import rollfit
from dask.distributed import Client, wait

if __name__ == "__main__":
    config, stop, running, tries = os.path.abspath(sys.argv[1]), threading.Event(), {}, collections.Counter()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for the workers that Client starts where no SCHEDULER is named
    client = Client(*sys.argv[2:])
    signal.signal(signal.SIGINT, lambda *_: (stop.set(), signal.signal(signal.SIGINT, signal.default_int_handler)))

    ends = dict.fromkeys(rollfit.partitions(config))
    left = list(reversed(ends))
    while running or left and not stop.is_set():
        while left and not stop.is_set() and len(running) <= 2 * sum(client.nthreads().values()):
            partition = left.pop()  # again on another worker if its worker dies, three times at most
            running[client.submit(rollfit.run_partition, config, partition, pure=False)] = partition
        for done in running and wait(list(running), return_when="FIRST_COMPLETED").done:
            partition, error = running.pop(done), done.exception()
            ends[partition], tries[partition] = error or done.result(), tries[partition] + 1
            if getattr(error, "retry", False) and tries[partition] < 3:
                left.append(partition)
            print(f"{len(ends) - len(left) - len(running)}/{len(ends)} {ends[partition]}", flush=True)
    client.close()
    print(report := rollfit.summarize(ends))  # what a Ctrl-C left out is not started; a second Ctrl-C rolls back what runs
    sys.exit(report.exit_code)

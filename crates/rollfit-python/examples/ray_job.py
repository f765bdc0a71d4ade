"""A rollfit job on Ray: python ray_job.py CONFIG. Every machine finds CONFIG and the store under the same name."""

import collections, os, ray, rollfit, signal, sys, threading

config, stop, running, tries = os.path.abspath(sys.argv[1]), threading.Event(), {}, collections.Counter()
ray.init()  # joins the cluster that RAY_ADDRESS names; without it, starts one on this machine
signal.signal(signal.SIGINT, lambda *_: (stop.set(), signal.signal(signal.SIGINT, signal.default_int_handler)))

@ray.remote(num_cpus=1, max_retries=3)  # again on another worker if this one dies
def run_partition(partition):
    return rollfit.run_partition(config, partition)

ends = dict.fromkeys(rollfit.partitions(config))
left = list(reversed(ends))
while running or left and not stop.is_set():
    while left and not stop.is_set() and len(running) <= 2 * ray.cluster_resources().get("CPU", 0):
        partition = left.pop()
        running[run_partition.remote(partition)] = partition
    for done in running and ray.wait(list(running))[0]:
        partition = running.pop(done)
        try:
            ends[partition] = ray.get(done)
        except (rollfit.RollfitError, ray.exceptions.RayError) as error:
            ends[partition], tries[partition] = getattr(error, "cause", error), tries[partition] + 1
            if getattr(error, "retry", False) and tries[partition] < 3:
                left.append(partition)
        print(f"{len(ends) - len(left) - len(running)}/{len(ends)} {ends[partition]}", flush=True)
print(report := rollfit.summarize(ends))  # what a Ctrl-C left out is not started; a second Ctrl-C rolls back what runs
sys.exit(report.exit_code)

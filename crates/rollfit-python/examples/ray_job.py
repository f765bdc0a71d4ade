"""A rollfit job on Ray: python ray_job.py CONFIG. Every machine finds CONFIG and the store under the same name."""
import collections, signal, sys, threading
import ray, rollfit

config, stop, running, tries = sys.argv[1], threading.Event(), {}, collections.Counter()
ray.init()  # joins the cluster that RAY_ADDRESS names; without it, starts one on this machine
run_partition = ray.remote(num_cpus=1, max_retries=3)(rollfit.run_partition)  # again if its worker dies
signal.signal(signal.SIGINT, lambda *_: (stop.set(), signal.signal(signal.SIGINT, signal.default_int_handler)))
ends = dict.fromkeys(rollfit.partitions(config))
left = list(reversed(ends))
while running or left and not stop.is_set():
    while left and not stop.is_set() and len(running) <= 2 * ray.cluster_resources().get("CPU", 0):
        running[run_partition.remote(config, left[-1])] = left.pop()
    for done in running and ray.wait(list(running))[0]:
        partition = running.pop(done)
        try:
            ends[partition] = ray.get(done)
        except (rollfit.RollfitError, ray.exceptions.RayError) as error:
            ends[partition], tries[partition] = error, tries[partition] + 1
            if getattr(error, "retry", False) and tries[partition] < 3:
                left.append(partition)
        print(f"{len(ends) - len(left) - len(running)}/{len(ends)} {ends[partition]}", flush=True)
report = rollfit.summarize(ends)  # what a Ctrl-C left out is not started; a second Ctrl-C rolls back what runs
print(report)
sys.exit(report.exit_code)

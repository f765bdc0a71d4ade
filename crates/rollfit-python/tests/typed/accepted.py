"""What a program with types writes; checked by `mypy --strict`, not run."""

import array
import datetime

import rollfit

version: str = rollfit.__version__
metric: rollfit.Metric = "r2"
names: list[rollfit.Metric] = list(rollfit.METRICS)
closes = array.array("d", [1.0, 4.0, 9.0, 16.0])

table: rollfit.Table = rollfit.rolling(closes, windows={"w3": 3}, metrics=[metric, "prediction"], name="idx")
column: rollfit.Column = table["r2_idx_w3"]
columns: list[str] = table.column_names
warm: int = table.null_counts["warmup"]
again: rollfit.Table = rollfit.rolling(closes, [3], out=table)
value: float | None = rollfit.fit(closes)["r2"]

stream = rollfit.Stream([3, 4], metrics=["r2"])
latest: float | None = stream.push(1.0871)["r2_w3"]
seeded: rollfit.Stream = rollfit.Stream.seeded(closes, [3])

try:
    report: rollfit.RunReport = rollfit.run("rollfit.toml", only=["eurusd"], workers="auto", progress=print)
except rollfit.PartitionError as error:
    failed: list[str] = [problem.key for problem in error.report.failures] if error.report else []
except rollfit.RollfitError as error:
    code: int = error.exit_code
ends: dict[rollfit.Partition, rollfit.PartitionResult | BaseException | None] = {}
for partition in sorted(rollfit.partitions("rollfit.toml", shard=(0, 8))):
    try:
        ends[partition] = rollfit.run_partition("rollfit.toml", partition, replace="shrunk")
    except rollfit.RollfitError as failure:
        ends[partition] = failure
        may_help: bool = failure.retry
written: int = rollfit.summarize(ends).written
rollfit.close()

page: str = rollfit.analyze("rollfit.toml").to_html()

dataset: rollfit.Dataset = rollfit.open("rollfit.toml")
features: rollfit.Table = dataset.features(keys=["eurusd"], start="2017-01", columns=["r2_idx_w60"])
live: rollfit.LiveStream = dataset.live("eurusd")
tick: dict[str, float | None] = live.push(1.0871, time=datetime.datetime.now(datetime.UTC))
bound: tuple[float, float] | None = dataset.why("eurusd", "2017-01-04T10:31Z", "r2_idx_w60").bound

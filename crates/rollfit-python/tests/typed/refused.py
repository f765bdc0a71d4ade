"""What a type checker has to refuse, line by line; checked by `mypy --strict`, not run."""

import rollfit

metric: rollfit.Metric = "r3"  # refused
rollfit.METRICS = {}  # refused
rollfit.rolling([1.0, 2.0, 3.0], [3], metrics=["r3"])  # refused
rollfit.rolling([1.0, 2.0, 3.0], windows=15)  # refused
rollfit.Stream([3]).push("1.0")  # refused
rollfit.run("rollfit.toml", replace="done")  # refused
rollfit.run("rollfit.toml", "eurusd")  # refused
rollfit.open("rollfit.toml").features(missing="ignore")  # refused
rollfit.RunReport().rows = 3  # refused

"""What a program with types writes; checked by `mypy --strict`, not run."""

import rollfit

metric: rollfit.Metric = "r2"
names: list[rollfit.Metric] = list(rollfit.METRICS)
version: str = rollfit.__version__

"""What a type checker has to refuse, line by line; checked by `mypy --strict`, not run."""

import rollfit

metric: rollfit.Metric = "r3"  # refused
rollfit.METRICS = {}  # refused

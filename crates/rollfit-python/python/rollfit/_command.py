"""The command `rollfit`, as a console script."""

import sys

from ._rollfit import run_command


def main() -> None:
    sys.exit(run_command(["rollfit", *sys.argv[1:]]))

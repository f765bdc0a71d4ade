"""The command `rollfit`, as a console script."""

import sys

from ._rollfit import _run_command


def main() -> None:
    sys.exit(_run_command(["rollfit", *sys.argv[1:]]))

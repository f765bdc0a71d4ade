"""The command `rollfit`, as a console script: the same command as the executable, in a Python process."""

import os
import signal
import sys

from ._rollfit import _run_command


def main() -> int:
    """Runs the command with the arguments of this process; returns its exit code."""
    # As the executable has it: Ctrl-C ends a command that handles no signals, without a traceback. Where SIGINT is ignored, as in the
    # background of a script, it stays so. SIGPIPE is ignored in both, so that a reader that leaves ends no run.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    return _run_command(["rollfit", *sys.argv[1:]])


def _open_closed_streams() -> None:
    """Opens what is closed of stdin, stdout and stderr, or the first file of a store would get the number, and the output."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free, and never passed on.
            os.open(os.devnull, os.O_RDWR)

"""The ``provisioner`` program, also ``python -m provisioner``: loads the command line, runs it."""

import signal
import sys


def main() -> int:
    """Run with the arguments and the environment of this process; returns the exit code."""
    # While modules are loaded nothing is under way, and Ctrl-C just ends the process. (Where it is
    # ignored, as with nohup, it stays ignored.)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from provisioner.cli.main import main as run

    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run()


if __name__ == "__main__":
    sys.exit(main())

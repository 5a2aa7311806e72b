"""The `syncd` script and `python -m syncd`: the command line, begun so that Ctrl-C while it loads is no traceback."""

from __future__ import annotations

import signal


def main() -> None:
    """Until `cli.main` can say that it was interrupted, SIGINT ends the process as it ends any other."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from syncd.cli import main

    main()


if __name__ == "__main__":
    main()

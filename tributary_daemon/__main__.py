"""``python -m tributary_daemon`` is ``trib``."""

from __future__ import annotations

import sys

from tributary_daemon.cli.main import main as run


def main() -> None:
    """Run the command line of this process and exit with its code."""
    sys.exit(run())


if __name__ == "__main__":
    main()

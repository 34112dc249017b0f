"""What ``recost-collector`` and ``python -m recost_collector`` start: the command line, and Ctrl-C while it loads."""

from __future__ import annotations

import sys

INTERRUPTED = 130


def main() -> int:
    """Importing takes a moment, in which somebody may change his mind."""
    try:
        from recost_collector import cli  # noqa: PLC0415 - the reason for this file

        return cli.main()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())

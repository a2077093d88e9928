"""The command line as other users of this machine see it: without passwords."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import Final

from tributary_daemon.cli.loader import late

_OPTION: Final = "--database-url"
_ARG_START: Final = 47
_ARG_END: Final = 48


def hide_passwords() -> None:
    """Overwrite the password of ``--database-url`` where `ps` reads the words of this process.

    Linux only, and not before this call: a moment remains in which it can be seen. A URL in the
    environment or in a file is seen by nobody else at any time.
    """
    words = sys.argv[1:]
    given = [word.partition("=")[2] for word in words if word.startswith(f"{_OPTION}=")]
    given += [word for option, word in pairwise(words) if option == _OPTION]
    if given and sys.platform == "linux":
        for url in given:
            masked: str = late("passwords:mask")(url)
            if masked != url:
                _overwrite(url.encode(errors="surrogateescape"), masked.encode(errors="surrogateescape"))


def _overwrite(old: bytes, new: bytes) -> None:
    try:
        # the second field may hold anything, also spaces and brackets
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        start, end = int(fields[_ARG_START - 2]), int(fields[_ARG_END - 2])
        with Path("/proc/self/mem").open("r+b", buffering=0) as memory:
            memory.seek(start)
            words = memory.read(end - start)
            at = words.find(old)
            if at >= 0:
                memory.seek(start + at)
                memory.write(new.ljust(len(old), b"*")[: len(old)])
    except (OSError, ValueError, IndexError):
        # a kernel that hides this from a process of its own: there is nothing to be done
        return

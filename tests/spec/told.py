"""What `trib validate` says about a broken file, as it stands beside it.

``python tests/spec/told.py`` writes down what is said now; read the difference before you keep it.
"""

from __future__ import annotations

import os
from pathlib import Path

from tributary_daemon.errors import InvalidWorkflow
from tributary_daemon.spec.loader import load_file

FOLDER = Path(__file__).parent / "broken"
FILES = sorted(FOLDER.glob("*.yaml"))


def told(path):
    """Return every problem of a file in the order told, or nothing when it is accepted."""
    before = Path.cwd()
    # paths are told as they were given
    os.chdir(path.parent)
    try:
        load_file(Path(path.name))
    except InvalidWorkflow as error:
        return "\n\n".join(problem.render() for problem in error.problems) + "\n"
    finally:
        os.chdir(before)
    return ""


if __name__ == "__main__":
    for path in FILES:
        path.with_suffix(".txt").write_text(told(path), "utf-8")

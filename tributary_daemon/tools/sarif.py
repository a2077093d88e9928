"""Problems of workflow files in SARIF 2.1.0, the format that code hosts and editors read."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tributary_daemon.errors import Problem

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_STDIN: Final = "stdin"


def log(
    problems: Sequence[Problem], files: Iterable[str], pages: Mapping[str, str], version: str
) -> dict[str, Any]:
    """Return a SARIF log with one run.

    Args:
        problems: of all files.
        files: every file that was looked at, faulty or not.
        pages: what is said of each code: a title, then a text.
        version: of trib.
    """
    used = sorted({problem.code for problem in problems})
    rules = [_rule(code, pages.get(code, code)) for code in used]
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "trib", "semanticVersion": version, "rules": rules}},
                "columnKind": "unicodeCodePoints",
                "artifacts": [{"location": {"uri": _uri(file)}} for file in dict.fromkeys(files)],
                "results": [_result(problem, used.index(problem.code)) for problem in problems],
            }
        ],
    }


def _rule(code: str, page: str) -> dict[str, Any]:
    title, _, body = page.partition("\n")
    summary = title.partition("·")[2].strip() or title
    text = body.strip() or summary
    return {
        "id": code,
        "shortDescription": {"text": summary},
        "fullDescription": {"text": text},
        "help": {"text": text, "markdown": text},
        "defaultConfiguration": {"level": "warning" if "(warning)" in title else "error"},
    }


def _result(problem: Problem, rule: int) -> dict[str, Any]:
    message = problem.message if problem.hint is None else f"{problem.message} ({problem.hint})"
    location: dict[str, Any] = {"artifactLocation": {"uri": _uri(problem.file)}}
    if problem.line is not None:
        location["region"] = _region(problem)
    return {
        "ruleId": problem.code,
        "ruleIndex": rule,
        "level": problem.severity,
        "message": {"text": message},
        "locations": [{"physicalLocation": location}],
    }


def _region(problem: Problem) -> dict[str, Any]:
    region: dict[str, Any] = {"startLine": problem.line}
    if problem.column is not None:
        # the end is exclusive, and both count from 1
        region |= {"startColumn": problem.column, "endColumn": problem.column + problem.length}
    if problem.source_line is not None:
        region["snippet"] = {"text": problem.source_line}
    return region


def _uri(file: str) -> str:
    if file in ("", "-"):
        return _STDIN
    path = PurePosixPath(file)
    return f"file://{quote(str(path))}" if path.is_absolute() else quote(str(path))

"""Results of test cases as the XML of JUnit, which CI services show."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNWRITABLE: Final = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


class Result(NamedTuple):
    """One case; ``failure`` holds the lines that say what was wrong, and is empty when nothing was."""

    name: str
    seconds: float
    failure: Sequence[str]


def report(suite: str, results: Sequence[Result]) -> bytes:
    """Return the document of one suite.

    Args:
        suite: its name: that of the workflow.
        results: of its cases, in order.
    """
    attributes = {
        "name": _writable(suite),
        "tests": str(len(results)),
        "failures": str(sum(bool(result.failure) for result in results)),
        "errors": "0",
        "time": f"{sum(result.seconds for result in results):.3f}",
    }
    root = ET.Element("testsuites")
    top = ET.SubElement(root, "testsuite", attributes)
    for result in results:
        case = ET.SubElement(
            top,
            "testcase",
            {"classname": _writable(suite), "name": _writable(result.name), "time": f"{result.seconds:.3f}"},
        )
        if result.failure:
            failure = ET.SubElement(case, "failure", {"message": _writable(result.failure[0])})
            failure.text = _writable("\n".join(result.failure))
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _writable(text: str) -> str:
    # XML has no way at all to hold control characters
    return _UNWRITABLE.sub("\ufffd", text)

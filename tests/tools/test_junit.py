"""Results of cases as the XML of JUnit."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from tributary_daemon.tools.junit import Result, report


def test_a_failure_carries_its_lines_and_counts():
    text = report("shop.v1", [Result("fine", 0.25, []), Result("a < b", 0.5, ["state", "- expected \x00"])])
    (suite,) = ET.fromstring(text)
    told = {name: suite.get(name) for name in ("name", "tests", "failures", "errors", "time")}
    assert told == {"name": "shop.v1", "tests": "2", "failures": "1", "errors": "0", "time": "0.750"}
    fine, broken = suite
    assert (fine.get("name"), fine.get("classname"), len(fine)) == ("fine", "shop.v1", 0)
    (failure,) = broken
    assert (broken.get("name"), failure.get("message")) == ("a < b", "state")
    # XML cannot hold the zero byte
    assert failure.text == "state\n- expected \ufffd"

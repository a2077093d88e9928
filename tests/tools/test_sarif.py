"""Problems in SARIF 2.1.0."""

from __future__ import annotations

import json

from tributary_daemon.cli import manual
from tributary_daemon.errors import InvalidWorkflow
from tributary_daemon.spec.loader import load_text
from tributary_daemon.tools import sarif


def problems_of(text, file):
    try:
        return list(load_text(text, file=file).warnings)
    except InvalidWorkflow as error:
        return list(error.problems)


def log(*pairs):
    found = [problem for file, text in pairs for problem in problems_of(text, file)]
    return json.loads(json.dumps(sarif.log(found, [file for file, _ in pairs], manual.entries(), "1.2.3")))


FAULTY = "name: ü.v1\nsteps:\n  a: {task: shop.a, needs: [extarct]}\n  extract: {run: echo, bogus: 1}\n"


def test_the_log_has_the_parts_that_the_standard_asks_for():
    made = log(("flows/my etl.yaml", FAULTY), ("good.yaml", "steps: {a: {run: echo}}"))
    assert made["version"] == "2.1.0"
    assert made["$schema"].endswith("sarif-2.1.0.json")
    [run] = made["runs"]
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["semanticVersion"]) == ("trib", "1.2.3")
    assert run["columnKind"] == "unicodeCodePoints"
    assert [each["location"]["uri"] for each in run["artifacts"]] == ["flows/my%20etl.yaml", "good.yaml"]
    assert {result["ruleId"] for result in run["results"]} == {"TRB121", "TRB122", "TRB104", "TRB102"}
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in {"error", "warning"}
        assert result["message"]["text"]
        [location] = result["locations"]
        region = location["physicalLocation"]["region"]
        assert region["startLine"] >= 1
        assert 1 <= region["startColumn"] < region["endColumn"]
        assert location["physicalLocation"]["artifactLocation"]["uri"] == "flows/my%20etl.yaml"


def test_each_rule_has_the_words_of_its_page():
    rules = {rule["id"]: rule for rule in log(("f.yaml", FAULTY))["runs"][0]["tool"]["driver"]["rules"]}
    assert rules["TRB104"]["shortDescription"]["text"] == "unknown step"
    assert "Fix:" in rules["TRB104"]["help"]["text"]
    assert rules["TRB104"]["defaultConfiguration"] == {"level": "error"}
    assert rules["TRB122"]["defaultConfiguration"] == {"level": "warning"}


def test_positions_count_characters_from_one():
    [run] = log(("f.yaml", "steps:\n  a: {run: echo, x-ü: 1, needs: [b]}\n"))["runs"]
    region = run["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert (region["startLine"], region["startColumn"], region["endColumn"]) == (2, 34, 35)
    assert region["snippet"]["text"] == "  a: {run: echo, x-ü: 1, needs: [b]}"


def test_a_log_without_problems_says_so():
    [run] = log(("good.yaml", "steps: {a: {run: echo}}"))["runs"]
    assert run["results"] == []
    assert run["tool"]["driver"]["rules"] == []


def test_what_has_no_line_has_no_region():
    [run] = log(("-", "x" * (4 * 1024 * 1024 + 1)))["runs"]
    [location] = run["results"][0]["locations"]
    assert location["physicalLocation"] == {"artifactLocation": {"uri": "stdin"}}


def test_places_of_files():
    assert sarif._uri("/srv/a b.yaml") == "file:///srv/a%20b.yaml"
    assert sarif._uri("a:b.yaml") == "a%3Ab.yaml"

"""The page, its documentation, the dashboard and the alerts speak of the same metrics."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from tributary_daemon.daemon.measures import OUTCOMES
from tributary_daemon.daemon.metrics import named_queues
from tributary_daemon.observers import exposition
from tributary_daemon.observers.metrics import CATALOGUE, MOST_QUEUES, OTHER, Histogram

DOCS = Path(__file__).resolve().parents[2] / "docs"
ALERTS = yaml.safe_load((DOCS / "monitoring" / "prometheus-alerts.yaml").read_text(encoding="utf-8"))
DASHBOARD = json.loads((DOCS / "monitoring" / "grafana-dashboard.json").read_text(encoding="utf-8"))
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
# what Prometheus adds to what it scrapes
ADDED = {"instance", "job"}
BY_CLAUSE = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
SELECTOR = re.compile(r"\b(tributary_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"([^\"]*)\"")
WORD = re.compile(r"[a-zA-Z_]\w*")
KNOWN_WORDS = {
    "sum", "max", "min", "rate", "increase", "histogram_quantile", "absent", "by", "on", "group_left", "and",
    "offset",
}  # fmt: skip


def expressions():
    """Return (where, PromQL) of both files."""
    found = [(f"alert {rule['alert']}", rule["expr"]) for rule in RULES]
    for panel in DASHBOARD["panels"]:
        found += [(f"panel {panel['title']}", target["expr"]) for target in panel["targets"]]
    for variable in DASHBOARD["templating"]["list"]:
        if (match := re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"])) is not None:
            found.append((f"variable {variable['name']}", f"sum by ({match[2]}) ({match[1]})"))
    return found


def labels_of():
    """Return series name -> labels, as they are on the page."""
    found = {}
    for metric in CATALOGUE:
        labels = set(metric.labels)
        if metric.kind == "histogram":
            found[f"{metric.name}_bucket"] = {*labels, "le"}
            found[f"{metric.name}_sum"] = found[f"{metric.name}_count"] = labels
        else:
            found[metric.name] = labels
    return found


EXPOSED = labels_of()
STATES = {
    "tributary_queue_depth": {"ready", "scheduled", "running", "waiting"},
    "tributary_processes": {"claiming", "stuck", "troubled", "idle", "resting"},
}


def value_of(metric):
    return Histogram(((0.5, 1), (math.inf, 3)), 4.5) if metric.kind == "histogram" else 2.0


def whole_page():
    values = {
        metric.name: {tuple(f'a "{label}"\n\\' for label in metric.labels): value_of(metric)}
        for metric in CATALOGUE
    }
    return exposition.page(values).decode()


def test_the_page_has_the_whole_catalogue_and_nothing_else():
    found = {}
    for family in text_string_to_metric_families(whole_page()):
        assert family.documentation
        for sample in family.samples:
            found[sample.name] = set(sample.labels)
            assert all(value == f'a "{label}"\n\\' for label, value in sample.labels.items() if label != "le")
    assert found == EXPOSED


def test_what_is_not_known_is_left_out_and_nothing_is_registered_for_all():
    page = exposition.page({"tributary_slots": {(): 3}, "tributary_dead_letters": {}}).decode()
    assert [line for line in page.splitlines() if line[0] != "#"] == ["tributary_slots 3.0"]
    assert not [family.name for family in REGISTRY.collect() if family.name.startswith("tributary")]


def test_names_say_what_they_are():
    assert len({metric.name for metric in CATALOGUE}) == len(CATALOGUE)
    for metric in CATALOGUE:
        assert re.fullmatch(r"tributary(_[a-z]+)+", metric.name)
        assert (metric.kind == "counter") == metric.name.endswith("_total")
        assert metric.kind != "histogram" or metric.name.endswith("_seconds")
        assert set(metric.labels) <= {"queue", "tenant", "outcome", "state", "scope", "name", "version"}


def test_every_metric_is_documented_as_it_is():
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(tributary_\w+)` \| (\w+) \| ([^|]*)\|", text, re.MULTILINE)
    documented = [(name, kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows]
    assert documented == [(metric.name, metric.kind, metric.labels) for metric in CATALOGUE]
    missing = [word for word in OUTCOMES if f"`{word}`" not in text]
    assert missing == []
    assert re.findall(r"^\| `(Tributary\w+)` \|", text, re.MULTILINE) == [rule["alert"] for rule in RULES]


@pytest.mark.parametrize(("where", "text"), expressions(), ids=lambda value: value[:40])
def test_an_expression_asks_for_what_there_is(where, text):
    series = SELECTOR.findall(text)
    assert series, f"{where} asks for nothing of ours"
    labels = set()
    for name, matchers in series:
        assert name in EXPOSED, f"{where}: {name}"
        labels |= EXPOSED[name]
        for label, value in MATCHER.findall(matchers):
            assert label in EXPOSED[name], f"{where}: {name} has no {label}"
            if label == "outcome":
                assert set(value.split("|")) <= set(OUTCOMES), where
            if label == "state":
                assert value in STATES[name], where
    for clause in BY_CLAUSE.findall(text):
        assert {label.strip() for label in clause.split(",")} <= labels | ADDED, where
    rest = re.sub(
        r"\[[^\]]*\]|\"[^\"]*\"|\b\d[\w.]*", " ", MATCHER.sub("", SELECTOR.sub("", BY_CLAUSE.sub("", text)))
    )
    assert set(WORD.findall(rest)) <= KNOWN_WORDS, f"{where}: what is this?"
    assert text.count("(") == text.count(")"), where


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool of Prometheus is not installed")
def test_alerts_fire_where_they_should_and_nowhere_else(tmp_path):
    """And every other expression is one that Prometheus reads, as is the page."""
    rules = [
        {"record": f"panel:{number}", "expr": text.replace("$__rate_interval", "1m").replace("$queue", ".*")}
        for number, (_, text) in enumerate(expressions())
    ]
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    for words, said in (
        (["test", "rules", Path(__file__).with_name("alerts_at_work.yaml")], None),
        (["check", "rules", path], None),
        (["check", "metrics"], whole_page()),
    ):
        done = subprocess.run(
            ["promtool", *words], input=said, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_counters_are_asked_for_their_rate():
    kinds = {metric.name: metric.kind for metric in CATALOGUE}
    for where, text in expressions():
        if where.startswith("variable"):
            continue
        for name in re.findall(r"\btributary_\w+", text):
            if kinds.get(name, "histogram") != "gauge":
                assert re.search(rf"(rate|increase)\({name}[{{\[]", text), where


def test_both_files_have_what_they_are_to_have():
    assert len(RULES) == 8
    assert len(DASHBOARD["panels"]) >= 12
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for rule in RULES:
        assert {"alert", "expr", "labels", "annotations"} <= rule.keys()
        assert rule["labels"]["severity"] in {"warning", "critical"}
    documented = re.findall(r"^  expr:", (DOCS / "metrics.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert documented


def test_queues_are_named_up_to_a_limit():
    many = [f"q{number:04}" for number in range(1_000)]
    named = named_queues(many, ["q0999", "unheard of"])
    assert len(named) == MOST_QUEUES - 1
    assert {"q0999", "q0000"} <= named
    assert OTHER not in named
    assert named_queues(["a"], []) == {"a"}

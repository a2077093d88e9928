"""A real worker in traces and metrics of OpenTelemetry: trees of spans, figures that are pushed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager

import pytest

from tests.daemon.observed_site import FILE, IDS, PARENT, TRACE, client, site

__all__ = ["client", "site"]


def test_attempts_are_spans_of_the_trace_that_submitted_them(site, client):
    work = client.submit("o.seen.v1", **IDS)
    awaited = client.submit("o.aseen.v1", traceparent=PARENT)
    alone = client.submit("o.alone.v1", traceparent=PARENT)
    bad = client.submit("o.seen.v1", {"fail": True}, traceparent=PARENT, max_attempts=1)
    unsampled = client.submit("o.seen.v1", traceparent=PARENT[:-1] + "0")
    results = [client.wait(one.id, 30).result for one in (work, awaited, alone, bad, unsampled)]
    spans = {}
    for one in (work, awaited, alone, bad):
        site.wait(lambda one=one: site.spans(one.id), 20, one.id)
        ((service, span, attributes),) = site.spans(one.id)
        assert service == "tributary-daemon"
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT.split("-")[2])
        assert span.start_time_unix_nano < span.end_time_unix_nano
        spans[one.id] = span, attributes
    # it was current while the handler ran
    for one, result in ((work, results[0]), (awaited, results[1])):
        assert result["current"].startswith(f"00-{TRACE}-{spans[one.id][0].span_id.hex()}-0")
    span, attributes = spans[work.id]
    assert span.name == "attempt o.seen.v1"
    assert attributes["tributary.outcome"] == "completed"
    assert attributes["tributary.correlation_id"] == "req-7"
    span, attributes = spans[bad.id]
    assert attributes["tributary.outcome"] == "discarded"
    assert span.status.message == "it failed"
    (event,) = span.events
    told = {a.key: a.value.string_value for a in event.attributes}
    assert (told["exception.type"], told["exception.message"]) == ("RuntimeError", "it failed")
    assert "observed_handlers.py" in told["exception.stacktrace"]
    # what the producer did not sample is not sampled here, and its handler hands that on
    assert results[4]["current"] == PARENT[:-1] + "0"
    assert site.spans(unsampled.id) == []


CACHED = """
name: o.cached.v1
steps:
  seen: {task: o.seen.v1, cache: {scope: global}}
"""


def test_what_a_worker_counts_is_pushed(site, client):
    path = site.home / "cached.yaml"
    path.write_text(CACHED)
    for _ in range(3):
        assert client.wait(client.submit(path).id, 30).state == "completed"

    def looked():
        return {key: point.as_int for key, point in site.metric("tributary.cache.lookups").items()}

    site.wait(lambda: looked().get(("global", "hit")) == 2, 20, lambda: f"{looked()}")
    assert {key: count for key, count in looked().items() if count} == {
        ("global", "hit"): 2, ("global", "miss"): 1,
    }  # fmt: skip
    finished = site.metric("tributary.attempts.finished")
    assert finished["default", "cached"].as_int == 2
    durations = site.metric("tributary.attempt.duration")["default",]
    assert durations.count == sum(durations.bucket_counts) > 0
    assert len(durations.bucket_counts) == len(durations.explicit_bounds) + 1
    assert site.metric("tributary.database.up")[()].as_double == 1


def test_work_without_a_trace_begins_one(site, client):
    work = client.submit("o.seen.v1")
    current = client.wait(work.id, 30).result["current"]
    site.wait(lambda: site.spans(work.id), 20, "its span")
    ((_, span, _),) = site.spans(work.id)
    assert span.parent_span_id == b""
    assert current.startswith(f"00-{span.trace_id.hex()}-{span.span_id.hex()}-0")


def test_an_isolated_handler_is_inside_of_its_attempt(site, client):
    work = client.submit("o.alone.v1", traceparent=PARENT)
    result = client.wait(work.id, 30).result
    site.wait(lambda: site.spans(work.id), 20, work.id)
    ((_, span, _),) = site.spans(work.id)
    assert result["current"].startswith(f"00-{TRACE}-{span.span_id.hex()}-0")
    # a span of its own is written from there, though its process ends with it
    site.wait(lambda: site.named("o.inside"), 20, "the span of the handler")
    inside = {one.span_id.hex(): one for one in site.named("o.inside")}[result["inside"].split("-")[2]]
    assert (inside.trace_id, inside.parent_span_id) == (span.trace_id, span.span_id)
    unsampled = client.submit("o.alone.v1", traceparent=PARENT[:-1] + "0")
    assert client.wait(unsampled.id, 30).state == "completed"


WHOLE = """
name: o.whole.v1
steps:
  first: {task: o.again.v1, queue: other}
  items: {for_each: "${{ range(2) }}", task: o.seen.v1, needs: first}
  child: {workflow: o.inner.v1, needs: items}
result: ${{ steps.first.result }}
---
name: o.inner.v1
steps:
  inner: {task: o.seen.v1}
"""


def test_a_run_is_a_tree_of_spans_over_its_processes(site, client, second_worker):
    path = site.home / "whole.yaml"
    path.write_text(WHOLE)
    run = client.submit(path, **IDS)
    assert client.wait(run.id, 40).state == "completed"
    child = site.one("select run_id::text from tributary.runs where parent_run_id = %s", run.id)[0]
    site.wait(lambda run=run: whole(site, run.id), 20, lambda run=run: names(site.spans(run.id)))
    spans, inner = site.spans(run.id), site.spans(child)
    assert names(spans) == {
        "run o.whole.v1": 1, "step first": 1, "attempt o.again.v1": 2, "step items": 3,
        "attempt o.seen.v1": 2, "step child": 1,
    }  # fmt: skip
    assert names(inner) == {"run o.inner.v1": 1, "step inner": 1, "attempt o.seen.v1": 1}
    by_id = {span.span_id: span for _, span, _ in [*spans, *inner]}
    assert {span.trace_id.hex() for span in by_id.values()} == {TRACE}
    assert len(by_id) == len(spans) + len(inner)
    parents = Counter(
        (span.name, by_id[span.parent_span_id].name if span.parent_span_id in by_id else None)
        for span in by_id.values()
    )
    assert parents == {
        ("run o.whole.v1", None): 1, ("step first", "run o.whole.v1"): 1,
        ("attempt o.again.v1", "step first"): 2, ("step items", "run o.whole.v1"): 3,
        ("attempt o.seen.v1", "step items"): 2, ("step child", "run o.whole.v1"): 1,
        ("run o.inner.v1", "step child"): 1, ("step inner", "run o.inner.v1"): 1,
        ("attempt o.seen.v1", "step inner"): 1,
    }  # fmt: skip
    (root,) = [span for span in by_id.values() if span.name == "run o.whole.v1"]
    assert root.parent_span_id.hex() == PARENT.split("-")[2]
    for span in by_id.values():
        assert span.end_time_unix_nano <= root.end_time_unix_nano + 1_000_000_000
    assert {service for service, _, _ in spans} == {"tributary-daemon", "second"}


@pytest.fixture
def second_worker(site):
    """A worker beside the other, in whose traces it is called ``second``."""
    with beside(site, "other", OTEL_SERVICE_NAME="second"):
        yield


@pytest.fixture
def third_worker(site):
    """One that traces every third work."""
    with beside(site, "third", OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0.33"):
        yield


@contextmanager
def beside(site, queue, **variables):
    path = site.home / f"log.{queue}"
    with path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tributary_daemon", "worker", "--processes", "1", "--import", FILE,
             "--queues", queue],
            env={**site.environ, **variables},
            cwd=site.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            site.wait(lambda: "process started" in path.read_text(), 40, path.read_text)
            yield
            process.terminate()
            assert process.wait(30) == 0, path.read_text()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def test_of_what_is_not_sampled_nothing_is_told_and_all_of_the_rest(site, client, third_worker):
    ids = []
    for handler in ("o.seen.v1", "o.aseen.v1"):
        ids += client.submit_many(handler, [{} for _ in range(60)], queue="third")
    sampled = {one for one in ids if int(one[:-9:-1], 16) < int(0.33 * 2**32)}
    assert 10 < len(sampled) < 70
    for one in ids:
        current = client.wait(one, 30).result["current"]
        # what a handler traces by itself is of the same mind
        assert (int(current[-2:], 16) & 1 == 1) is (one in sampled), one
    site.wait(lambda: all(site.spans(one) for one in sampled), 20, "their spans")
    assert {one for one in ids if site.spans(one)} == sampled
    assert {len(site.spans(one)) for one in sampled} == {1}


def names(spans):
    return Counter(span.name for _, span, _ in spans)


def whole(site, run_id):
    """Return whether the root is there, which is written last of its look, and what belongs below it."""
    return names(site.spans(run_id)).keys() >= {"run o.whole.v1", "step child", "step first", "step items"}


def test_a_run_that_failed_says_so(site, client):
    path = site.home / "bad.yaml"
    path.write_text(
        "name: o.bad.v1\nsteps:\n  bad: {task: o.seen.v1, max_attempts: 1, with: {fail: true}}\n"
        "  next: {task: o.seen.v1, needs: bad}\n"
    )
    run = client.submit(path)
    assert client.wait(run.id, 40).state == "failed"
    site.wait(lambda: "run o.bad.v1" in names(site.spans(run.id)), 20, "its span")
    spans = {span.name: span for _, span, _ in site.spans(run.id)}
    assert spans.keys() == {"run o.bad.v1", "step bad", "attempt o.seen.v1"}
    root, step, attempt = (spans[name] for name in ("run o.bad.v1", "step bad", "attempt o.seen.v1"))
    # nobody has submitted it within a trace: it begins one
    assert root.parent_span_id == b""
    assert (step.parent_span_id, attempt.parent_span_id) == (root.span_id, step.span_id)
    assert {one.trace_id for one in spans.values()} == {root.trace_id}
    assert root.status.code == step.status.code == 2
    # run again, its step is another one; the run is the same
    client.retry(run.id)
    assert client.wait(run.id, 40).state == "failed"
    site.wait(lambda: names(site.spans(run.id))["run o.bad.v1"] == 2, 20, "its second end")
    again = [span for _, span, _ in site.spans(run.id) if span.name == "step bad"]
    assert len({span.span_id for span in again}) == 2
    assert {span.parent_span_id for span in again} == {root.span_id}

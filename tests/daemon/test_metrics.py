"""What a real worker tells whoever scrapes it: true counts that never fall, and an answer in any case."""

from __future__ import annotations

import http.client
import json
import math
import os
import re
import signal
import time
from itertools import pairwise

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tributary_daemon import Client
from tributary_daemon.observers.metrics import CATALOGUE

from .proxies import Gate

FAN = """
steps:
  list: {task: t.note.v1, with: {xs: [1, 2, 3]}}
  each: {task: t.note.v1, for_each: "${{ steps.list.result.xs }}", with: {n: "${{ item }}"}}
"""
SERVED = ("--health", "127.0.0.1:0", "--name", "seen")


class Scraped:
    """One page."""

    def __init__(self, text):
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def get(self, name, **labels):
        return self.samples.get((name, frozenset(labels.items())))

    def finished(self, outcome, queue="default"):
        return self.get("tributary_attempts_finished_total", queue=queue, outcome=outcome)

    def counters(self):
        """Return all values that must never fall."""
        return {
            key: value
            for key, value in self.samples.items()
            if key[0].endswith(("_total", "_bucket", "_sum", "_count"))
        }


@pytest.fixture
def scrape(eventually):
    """Return a function that scrapes a worker."""

    def ask(worker, path="/metrics", method="GET"):
        found = eventually(lambda: re.search(r"127\.0\.0\.1:\d+", worker.log()), what="an address")
        connection = http.client.HTTPConnection(found[0], timeout=10)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()

    def scraped(worker):
        status, text, _ = ask(worker)
        assert status == 200, text
        return Scraped(text)

    scraped.ask = ask
    return scraped


def no_counter_fell(before, after):
    fallen = {
        key: (value, after.samples.get(key))
        for key, value in before.counters().items()
        if after.samples.get(key, -1) < value
    }
    assert fallen == {}


def test_what_ended_how_is_counted_and_what_dies_takes_nothing_away(desk, crew, scrape):
    worker = crew(*SERVED, processes=2)
    desk.wait(lambda: len(desk.pids()) == 2, what="two processes")
    retry = '{"delay": 0.05, "backoff": "fixed"}'
    notes = [desk.submit("t.note.v1") for _ in range(20)]
    effect = desk.submit("t.effect.v1")
    again = desk.submit("t.effect.v1", {"fail": 1}, retry=retry)
    aborted = desk.submit("t.ask.v1", {"what": "abort"})
    slow = desk.submit("t.sleep.v1", {"seconds": 0.3})
    for run in [*notes, effect, again, slow]:
        desk.until(run, "completed")
    desk.until(aborted, "discarded")
    desk.wait(lambda: scrape(worker).finished("completed") == 23, what="the last one is counted")
    page = scrape(worker)
    assert page.finished("lost") is None
    assert page.finished("retry") == page.get("tributary_retries_total", queue="default") == 1
    assert page.finished("discarded") == page.get("tributary_discards_total", queue="default") == 1
    assert page.get("tributary_attempts_claimed_total", queue="default") == 25
    assert page.get("tributary_attempts_started_total") == 25
    assert page.get("tributary_attempt_duration_seconds_count", queue="default") == 25
    # the first beat has told the server's time before anything was claimed
    assert page.get("tributary_attempt_wait_seconds_count", queue="default") == 25
    assert 0 < page.get("tributary_attempt_wait_seconds_sum", queue="default") < 25 * 10
    assert page.get("tributary_attempt_start_delay_seconds_count") == 25
    ran = page.get("tributary_attempt_duration_seconds_sum", queue="default")
    assert 0.3 <= ran < 20
    under = page.get("tributary_attempt_duration_seconds_bucket", queue="default", le="0.25")
    assert under <= 24
    assert page.get("tributary_exchange_duration_seconds_count") >= 1
    assert page.get("tributary_slots") == 20
    assert page.get("tributary_slots_in_use") == 0
    assert page.get("tributary_processes", state="claiming") == 2
    assert page.get("tributary_process_starts_total") == 2

    held = desk.submit("t.hold.v1", {"gate": "gate", "first": True})
    (note,) = desk.noted("began", held)
    desk.wait(lambda: scrape(worker).get("tributary_slots_in_use") == 1, what="a slot in use")
    desk.wait(lambda: scrape(worker).get("tributary_leases_held") == 1, what="a lease")
    before = scrape(worker)
    no_counter_fell(page, before)
    os.kill(note["pid"], signal.SIGKILL)
    pages = [before]
    until = time.monotonic() + 20
    while desk.state(held) != "completed" and time.monotonic() < until:
        pages.append(scrape(worker))
    for earlier, later in pairwise(pages):
        no_counter_fell(earlier, later)
    desk.until(held, "completed")
    desk.wait(lambda: scrape(worker).finished("completed") == 24, what="its second attempt is counted")
    after = scrape(worker)
    no_counter_fell(pages[-1], after)
    assert after.finished("suspected") == 1
    assert after.get("tributary_process_deaths_total") == 1
    assert after.get("tributary_attempts_started_total") == 27
    assert after.get("tributary_attempts_claimed_total", queue="default") == 27
    desk.wait(lambda: scrape(worker).get("tributary_process_starts_total") == 3, what="its successor")


def test_a_process_that_has_done_enough_leaves_its_counts(desk, crew, scrape):
    worker = crew(*SERVED, "--recycle-steps", 5)
    pages = []
    for run in [desk.submit("t.note.v1") for _ in range(30)]:
        desk.until(run, "completed")
        pages.append(scrape(worker))
    desk.wait(lambda: scrape(worker).finished("completed") == 30, what="all are counted")
    desk.wait(lambda: scrape(worker).get("tributary_process_starts_total") >= 2, what="a successor")
    pages.append(scrape(worker))
    for earlier, later in pairwise(pages):
        no_counter_fell(earlier, later)
    assert pages[-1].get("tributary_process_recycles_total") >= 1
    assert pages[-1].get("tributary_process_deaths_total") == 0


def test_each_way_to_run_is_counted_once(desk, crew, scrape):
    """Async, isolated, steps of the engine's own, and one that ignores its limit and ends its process."""
    worker = crew(*SERVED)
    runs = [desk.submit("t.ahold.v1"), desk.submit("t.say_alone.v1", {"lines": ["a"]})]
    for run in runs:
        desk.until(run, "completed")
    desk.wait(lambda: scrape(worker).finished("completed") == 2, what="both are counted")
    page = scrape(worker)
    assert page.get("tributary_attempts_started_total") == 2
    assert page.get("tributary_attempt_duration_seconds_count", queue="default") == 2
    desk.until_run(desk.run(FAN), "completed")
    desk.wait(lambda: scrape(worker).finished("completed") == 6, what="a list and its three items")
    page = scrape(worker)
    expanded = [value for (_, labels), value in page.samples.items() if ("outcome", "expanded") in labels]
    assert expanded == [1]
    stuck = desk.submit("t.sleep.v1", {"seconds": 100}, timeout=0.3, max_attempts=1)
    desk.until(stuck, "discarded", timeout=40)
    desk.wait(lambda: scrape(worker).finished("discarded") == 1, what="its supervisor has written its end")
    after = scrape(worker)
    no_counter_fell(page, after)
    assert after.get("tributary_attempts_started_total") == page.get("tributary_attempts_started_total") + 1
    assert after.get("tributary_discards_total", queue="default") == 1


def test_no_counter_falls_while_processes_are_killed_at_work(desk, crew, scrape):
    worker = crew(*SERVED, processes=2)
    desk.wait(lambda: len(desk.pids()) == 2, what="two processes")
    # the first one takes its time, it imports
    pages, killed = [scrape(worker)], set()
    desk.sql.execute(
        "select count(tributary.submit_intent('t.note.v1', '{}'::jsonb)) from generate_series(1, 3000)"
    )
    left = "select count(*) from tributary.steps where state not in ('completed', 'discarded')"
    until = time.monotonic() + 60
    while desk.one(left)[0] and time.monotonic() < until:
        fresh = set(desk.pids()) - killed
        if len(killed) < 3 and fresh and len(pages) % 4 == 1:
            pid = fresh.pop()
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)
        pages.append(scrape(worker))
    pages.append(scrape(worker))
    for earlier, later in pairwise(pages):
        no_counter_fell(earlier, later)
    assert desk.one(left)[0] == 0
    assert killed
    last = pages[-1]
    desk.wait(lambda: scrape(worker).get("tributary_process_deaths_total") == len(killed))
    assert last.finished("completed") <= 3000
    assert last.get("tributary_attempts_claimed_total", queue="default") >= 3000
    assert last.get("tributary_attempt_wait_seconds_sum", queue="default") > 0


def test_the_queues_are_as_the_leader_sampled_them(desk, crew, scrape):
    desk.submit("t.note.v1", queue="elsewhere")
    with desk.sql.transaction():
        for number in range(250):
            desk.submit("t.note.v1", queue=f"q{number:03}")
    desk.sql.execute("select tributary.set_tenant('acme', concurrency => 5)")
    worker = crew(*SERVED)
    ready = "select count(*) from tributary.steps where state = 'available'"
    desk.wait(lambda: desk.one(ready)[0] == 251, what="no step waits for its handler any more")
    desk.sql.execute("select tributary.sample_queues(10000)")
    page = scrape(worker)
    depth = page.families["tributary_queue_depth"].samples
    queues = {sample.labels["queue"] for sample in depth}
    assert len(queues) == 200
    assert {"default", "elsewhere", "other", "q000"} <= queues
    assert page.get("tributary_queue_depth", queue="elsewhere", state="ready") == 1
    assert sum(sample.value for sample in depth if sample.labels["state"] == "ready") == 251
    assert page.get("tributary_queue_oldest_ready_age_seconds", queue="elsewhere") > 0
    assert 0 <= page.get("tributary_queue_sample_age_seconds") < 30
    shown = {name: set(family.samples[0].labels) - {"le"} for name, family in page.families.items()}
    assert shown == {metric.name.removesuffix("_total"): set(metric.labels) for metric in CATALOGUE}
    assert page.get("tributary_database_up") == 1
    asked = "select count(*) from pg_stat_activity where application_name like '%% metrics'"
    assert desk.one(asked)[0] == 0, "its connection is closed"


def test_tenants_with_a_limit_are_told_by_name_and_the_others_together(desk, crew, scrape):
    worker = crew(*SERVED)
    with Client(desk.url) as client:
        client.set_tenant("acme", concurrency=5)
    for tenant in ("acme", "beta", "gamma"):
        with Client(desk.url, tenant=tenant) as client:
            client.submit("tests.later.v1")
    # nobody offers it: all three are there for whoever comes
    desk.sql.execute(
        "update tributary.steps set state = 'available', reason = null where name = 'tests.later.v1'"
    )
    page = scrape(worker)
    assert page.get("tributary_tenant_ready", tenant="acme") == 1
    assert page.get("tributary_tenant_ready", tenant="other") == 2
    assert page.get("tributary_tenant_running", tenant="acme") == 0
    assert page.get("tributary_tenant_oldest_ready_age_seconds", tenant="acme") > 0
    assert page.get("tributary_tenant_ready", tenant="beta") is None


def test_a_dead_letter_shows(desk, crew, scrape):
    aborted = desk.submit("t.ask.v1", {"what": "abort"})
    worker = crew(*SERVED)
    desk.until(aborted, "discarded")
    desk.wait(lambda: desk.one("select count(*) from tributary.queue_stats")[0], 20, "a sample")
    assert scrape(worker).get("tributary_dead_letters", queue="default") == 1


def test_a_database_that_is_away_delays_nobody(desk, crew, scrape):
    with Gate(desk.url) as gate:
        worker = crew(*SERVED, env={"TRIB_DATABASE_URL": gate.url})
        desk.until(desk.submit("t.note.v1"), "completed")
        desk.wait(lambda: scrape(worker).finished("completed") == 1, what="it is counted")
        desk.wait(lambda: "tributary_queue_depth" in scrape(worker).families, 25, "the queues are seen")
        before = scrape(worker)
        gate.shut()

        def is_down():
            began = time.monotonic()
            page = scrape(worker)
            no_counter_fell(before, page)
            # a scrape that waits for the database waits each time; a busy machine does not
            at_once = time.monotonic() - began < 2
            return page if at_once and page.get("tributary_database_up") == 0 else None

        page = desk.wait(is_down, 20, "the database is away")
        assert "tributary_queue_depth" not in page.families
        assert page.finished("completed") == 1
        desk.wait(
            lambda: scrape(worker).get("tributary_database_outages_total") >= 1, 20, "an outage is counted"
        )
        gate.open()
        desk.wait(lambda: scrape(worker).get("tributary_database_up") == 1, 20, "it is back")
        desk.until(desk.submit("t.note.v1"), "completed")
        desk.wait(lambda: scrape(worker).finished("completed") == 2, what="it is counted")
        assert scrape(worker).get("tributary_database_connections_total") >= 2


def test_the_page_is_what_prometheus_expects(desk, crew, scrape):
    worker = crew(*SERVED)
    status, text, headers = scrape.ask(worker, "/metrics?x=1")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=")
    page = Scraped(text)
    version = dict(next(iter(page.families["tributary_worker_info"].samples)).labels)
    assert version["name"] == "seen"
    assert page.get("tributary_worker_state", state="running") == 1
    for family in page.families.values():
        assert family.documentation, family.name
        assert family.type != "unknown", family.name
        if family.type == "histogram":
            check_histogram(family)
    labels = {name for _, found in page.samples for name, _ in found}
    assert labels <= {"queue", "outcome", "state", "scope", "name", "version", "le"}
    assert scrape.ask(worker, method="HEAD")[:2] == (200, "")
    assert scrape.ask(worker, method="POST")[0] == 405
    for path in ("/metrics/", "/metric", "/metrics/../healthz", "/%6detrics"):
        status, text, _ = scrape.ask(worker, path)
        assert status == 404
        assert "/metrics" in json.loads(text)["error"]


def check_histogram(family):
    found = {}
    for sample in family.samples:
        if sample.name.endswith("_bucket"):
            labels = dict(sample.labels)
            end = float(labels.pop("le").replace("+Inf", "inf"))
            found.setdefault(frozenset(labels.items()), []).append((end, sample.value))
    for buckets in found.values():
        assert buckets == sorted(buckets)
        assert [value for _, value in buckets] == sorted(value for _, value in buckets)
        assert buckets[-1][0] == math.inf

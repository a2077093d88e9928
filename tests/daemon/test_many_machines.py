"""Several hosts and one server: one is cut off and comes back, one is killed, one is added, under load."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.daemon import hosts
from tests.own_server import OwnServer, programs
from tributary_daemon.app import Client
from tributary_daemon.store.migrations import Migrator

HANDLERS = Path(__file__).with_name("many_handlers.py")
CHAIN = """\
name: many.chain.v1
steps:
  first:
    task: many.nap.v1
  left:
    task: many.nap.v1
    needs: [first]
  right:
    task: many.book.v1
    needs: [first]
  last:
    task: many.nap.v1
    needs: [left, right]
"""
RATE = 50  # intents a second
BACKLOG = 2_000
LEASE = 10.0
# what docs/reliability.md asks for: the lease, and a leader that looks every two seconds
TAKEN_OVER = 15.0
# where other work has the machine, a process takes ten seconds to start
BACK = 45.0
# of three hosts with as many slots each, in a drain of the backlog
LEAST, MOST = 0.2, 0.5
# every end of a step, noted by the transaction that makes it
AUDIT = """
    create table effects (id text, host text);
    create table ends (run_id uuid, ordinal int, attempt int, at timestamptz default clock_timestamp());
    create function note_end() returns trigger language plpgsql as $$
    begin
        insert into public.ends (run_id, ordinal, attempt) values (new.run_id, new.ordinal, new.attempt);
        return null;
    end $$;
    create trigger ends after update on tributary.steps for each row
    when (new.state = 'completed') execute function note_end();
"""
HELD = """
    select s.run_id::text, s.ordinal, s.seq
    from tributary.steps s join tributary.processes p using (process_id)
    join tributary.workers w using (worker_id) where s.state = 'running' and w.name = %s
"""
# those whose attempt has been taken away or has ended since
MOVED = """
    select count(*) filter (where s.seq <> h.seq or s.state <> 'running'),
           count(*) filter (where (s.seq <> h.seq and s.state = 'running') or s.state = 'completed'), count(*)
    from unnest(%s::uuid[], %s::int[], %s::bigint[]) as h(run_id, ordinal, seq)
    join tributary.steps s on s.shard = 0 and s.run_id = h.run_id and s.ordinal = h.ordinal
"""
DONE = """
    select s.result ->> 'host', count(*) from tributary.steps s
    where s.state = 'completed' and s.finished_at > %s group by 1
"""
LEADER = "select w.name from tributary.leaders l join tributary.workers w using (worker_id)"


class Producer:
    """Submits intents of three kinds and runs, at a steady rate; ``ids`` were acknowledged."""

    def __init__(self, url):
        self.ids, self.books, self.runs = [], [], []
        self._url = url
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._produce, daemon=True)
        self._thread.start()

    def stop(self):
        self._enough.set()
        self._thread.join(30)

    def _produce(self):
        with psycopg.connect(self._url, autocommit=True, application_name="producer") as sql:
            began, number = time.monotonic(), 0
            while not self._enough.wait(0.02):
                while number < (time.monotonic() - began) * RATE:
                    name = "book" if number % 5 == 0 else "long" if number % 10 == 1 else "nap"
                    found = self.books if name == "book" else self.ids
                    found.append(_id(sql, "select tributary.submit_intent(%s)", f"many.{name}.v1"))
                    if number % 20 == 0:
                        self.runs.append(_id(sql, "select tributary.submit_workflow('many.chain.v1', '{}')"))
                    number += 1


def _id(sql, query, *params):
    return str(sql.execute(query, params).fetchone()[0])


class Fleet:
    """Hosts that work, and what the database says of them."""

    def __init__(self, network, url, inside, home, eventually):
        self.network, self.home, self.eventually = network, home, eventually
        self.url, self.inside = url, inside
        self.producer = None
        self.sql = psycopg.connect(url, autocommit=True, application_name="test")

    def add(self, name):
        host = self.network.host(name)
        host.work(
            self.inside, self.home, HANDLERS, "--processes", "2", "--concurrency", "4",
            MANY_HOST=name, MANY_NOTES=str(self.home / "notes.jsonl"),
        )  # fmt: skip
        return host

    def ready(self, host):
        self.eventually(
            lambda: host.log().count("process started") >= 2, 40, lambda: f"{host.name}:\n{host.log()}"
        )

    def one(self, query, *params):
        return self.sql.execute(query, params).fetchone()

    def done_since(self, since):
        """Return how many steps each host has completed since then."""
        return dict(self.sql.execute(DONE, (since,)).fetchall())

    def now(self):
        return self.one("select clock_timestamp()")[0]

    def lose(self, name, how):
        """Take a host away while it is at work; return the fences of what it held, and when that was."""
        self.eventually(lambda: len(self.sql.execute(HELD, (name,)).fetchall()) >= 2, 20, f"{name} works")
        how()
        began = time.monotonic()
        time.sleep(0.05)  # what was on its way has arrived
        held = self.sql.execute(HELD, (name,)).fetchall()
        assert held, f"{name} held nothing at that moment"
        return held, began

    def taken_over(self, held, began):
        """Wait until all that was held runs elsewhere or is done; return seconds: first and last."""
        columns = [list(column) for column in zip(*held, strict=True)]
        first = None
        deadline = began + TAKEN_OVER
        while True:
            taken, again, count = self.one(MOVED, *columns)
            if first is None and taken:
                first = time.monotonic() - began
            if again == count:
                return first, time.monotonic() - began
            assert time.monotonic() < deadline, self._stuck(*columns)
            time.sleep(0.02)

    def _stuck(self, *columns):
        """Tell what became of what was held, and who waits for whom."""
        held = self.sql.execute(
            "select s.run_id, s.ordinal, s.state, s.seq, h.seq, s.attempt, s.process_id, s.name"
            " from unnest(%s::uuid[], %s::int[], %s::bigint[]) as h(run_id, ordinal, seq)"
            " join tributary.steps s using (run_id, ordinal)",
            columns,
        ).fetchall()
        sessions = self.sql.execute(
            "select pid, application_name, state, wait_event, pg_blocking_pids(pid), now() - xact_start,"
            " client_addr, left(query, 60) from pg_stat_activity where datname = current_database()"
            " and state <> 'idle'"
        ).fetchall()
        leader = self.sql.execute(
            "select worker_id, name, beat_at, now(), l.* from tributary.leaders l"
            " left join tributary.workers using (worker_id)"
        ).fetchall()
        return "\n".join(map(str, ["not taken over", *held, *sessions, *leader]))


@contextmanager
def fleet_of(request, home, eventually):
    """Give a fleet without hosts, on a server of its own that listens on the bridge."""
    hosts.wanted()
    network = hosts.Network()
    fleet = None
    server = OwnServer(programs(request), f"listen_addresses = '127.0.0.1,{network.address}'")
    try:
        server.make()
        with (server.data / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {network.addresses} trust\n")
        server.launch()
        Migrator(server.url()).up()
        inside = f"postgresql://trib@{network.address}:{server.port}/postgres"
        fleet = Fleet(network, server.url(), inside, home, eventually)
        fleet.sql.execute(AUDIT)
        yield fleet
    finally:
        if fleet is not None:
            if fleet.producer is not None:
                fleet.producer.stop()
            fleet.sql.close()
        for host in network.hosts.values():
            print(f"--- log of {host.name}\n{host.log()}")
        network.close()
        server.close()


def test_hosts_reach_the_server_until_they_are_cut_off_and_nothing_of_them_is_left():
    hosts.wanted()
    network = hosts.Network()
    try:
        host = network.host("a")
        assert host.reaches(network.address)
        host.cut()
        assert not host.reaches(network.address)
        host.heal()
        assert host.reaches(network.address)
        assert hosts.traces()
    finally:
        network.close()
    assert not hosts.traces()


@pytest.mark.outages
@pytest.mark.timeout(300)
def test_a_host_is_cut_off_and_heals_one_is_killed_one_is_added(request, tmp_path, eventually):
    (tmp_path / "chain.yaml").write_text(CHAIN)
    with fleet_of(request, tmp_path, eventually) as fleet:
        for host in [fleet.add(name) for name in "abc"]:
            fleet.ready(host)
        url = fleet.url
        with Client(url) as client:
            client.register(str(tmp_path / "chain.yaml"))
        producer = fleet.producer = Producer(url)
        since = fleet.now()
        time.sleep(3)
        said = {"at rest": fleet.done_since(since)}

        # the one that leads is cut off: its lease as leader has to end, too
        (cut,) = fleet.one(LEADER)
        (first_worker,) = fleet.one("select worker_id from tributary.workers where name = %s", cut)
        held, began = fleet.lose(cut, fleet.network.hosts[cut].cut)
        first, last = fleet.taken_over(held, began)
        said["cut off"] = f"{cut}: {len(held)} held, taken over after {first:.1f} to {last:.1f} s"
        time.sleep(max(0.0, LEASE + 4 - (time.monotonic() - began)))
        # what the leader does once it has been silent for a minute, so that it has to register anew
        fleet.sql.execute("select tributary.tidy_fleet('10 seconds')")
        assert "worker fenced" not in fleet.network.hosts[cut].log(), "nothing reaches it"

        fleet.network.hosts[cut].heal()
        began, since = time.monotonic(), fleet.now()
        fleet.eventually(lambda: fleet.done_since(since).get(cut), BACK, f"{cut} works again")
        said["healed"] = f"works again after {time.monotonic() - began:.1f} s"
        (second_worker,) = fleet.one("select max(worker_id) from tributary.workers where name = %s", cut)
        assert second_worker != first_worker, "it has registered anew"
        assert "worker fenced" in fleet.network.hosts[cut].log()

        killed = next(name for name in "abc" if name != cut)
        held, began = fleet.lose(killed, fleet.network.hosts[killed].kill)
        first, last = fleet.taken_over(held, began)
        said["killed"] = f"{killed}: {len(held)} held, taken over after {first:.1f} to {last:.1f} s"

        began, since = time.monotonic(), fleet.now()
        fleet.add("d")
        fleet.eventually(lambda: fleet.done_since(since).get("d"), BACK, "the new one works")
        said["added"] = f"works {time.monotonic() - began:.1f} s after its start"

        since = fleet.now()
        backlog = fleet.sql.execute(
            "select tributary.submit_intent('many.nap.v1')::text from generate_series(1, %s)", (BACKLOG,)
        ).fetchall()
        left = "select count(*) from tributary.steps where state = 'available'"
        fleet.eventually(lambda: fleet.one(left)[0] < BACKLOG / 10, 60, "the backlog is worked off")
        shares = fleet.done_since(since)
        total = sum(shares.values())
        said["drain"] = {name: f"{100 * count / total:.0f}%" for name, count in sorted(shares.items())}
        producer.stop()
        open_now = "select count(*) from tributary.steps where state not in ('completed', 'skipped')"
        fleet.eventually(lambda: fleet.one(open_now) == (0,), 60, "all ends")
        print(json.dumps(said, indent=1))
        assert set(shares) == {*"abcd"} - {killed}
        assert all(LEAST <= count / total <= MOST for count in shares.values()), shares

        ids = [*producer.ids, *producer.books, *(row[0] for row in backlog)]
        judge(fleet, ids, producer.books, producer.runs)
        for name in shares:
            fleet.network.hosts[name].worker.terminate()
        for name in shares:
            assert fleet.network.hosts[name].worker.wait(60) == 0, f"{name} drains"


def judge(fleet, ids, books, runs):
    """Nothing is lost, every step was completed once, no lease was executed twice."""
    assert fleet.one("select count(*) from tributary.steps where run_id = any (%s)", ids) == (len(ids),)
    assert fleet.one(
        "select count(*) filter (where state = 'completed') from tributary.runs where run_id = any (%s)", runs
    ) == (len(runs),)
    (steps,) = fleet.one("select count(*) from tributary.steps")
    assert steps == len(ids) + 4 * len(runs)
    ends, distinct = fleet.one("select count(*), count(distinct (run_id, ordinal)) from ends")
    assert (ends, distinct) == (steps, steps), "completed once, and only once"
    booked, distinct = fleet.one("select count(*), count(distinct id) from effects")
    assert (booked, distinct) == (len(books) + len(runs),) * 2, "effects are there once"
    notes = [json.loads(line) for line in (fleet.home / "notes.jsonl").read_text().splitlines()]
    times = Counter((line["id"], line["step"], line["attempt"]) for line in notes)
    assert set(times.values()) == {1}, "an attempt is executed once"
    attempts, crashes, most = fleet.one(
        "select sum(attempt), sum(crashes), max(attempt) from tributary.steps"
    )
    (again,) = fleet.one("select count(*) from tributary.attempts where outcome = 'crashed'")
    # those that were claimed, and had not begun when their host went, count as well: nobody can tell
    assert attempts == steps + crashes
    assert (crashes, len(times) <= attempts, most <= 3) == (again, True, True)
    print(f"{steps:,} steps, {crashes} attempts lost with their host, {len(notes):,} executions")

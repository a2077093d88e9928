"""The step cache in the database of the work: outcomes, who still lives, tenants, roles, plans, pruning."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.store import protocol_kit as kit
from tests.store.cache.test_stores import holder, key
from tributary_daemon.model.caching import Holder
from tributary_daemon.store import membership
from tributary_daemon.store.cache import holders
from tributary_daemon.store.cache.entries import Busy, Hit, Mine
from tributary_daemon.store.cache.postgres import PostgresStore
from tributary_daemon.store.db import query

FLOW = kit.workflow("t.flow.v1", {"one": {"cache": {"scope": "global"}}, "two": ("one",)})


@pytest.fixture
def count(connection):
    """Number of shards."""
    return kit.scalar(connection, "select tributary.shard_count()")


@pytest.fixture
def store(connection, count):
    """The store on the test's connection."""
    return PostgresStore(connection, count)


@pytest.fixture
def claimed(connection):
    """A claimed step of a run, as (process, row)."""
    kit.offer(connection)
    process = kit.Process(connection)
    kit.start(connection, FLOW)
    (row,) = process.claim()
    return process, row


def test_what_is_kept_waits_for_no_disk_and_what_follows_on_the_connection_does(connection, store):
    one, me = key(), holder()
    assert store.begin(one, me) == Mine()
    connection.execute("begin")
    assert store.fill(one, me, "1")
    assert kit.scalar(connection, "show synchronous_commit") == "off", "for this transaction"
    connection.execute("commit")
    assert kit.scalar(connection, "show synchronous_commit") == "on"
    assert store.begin(one, holder()) == Hit("1")


def test_a_step_with_a_cache_is_read_with_its_surroundings(connection, claimed):
    flags = connection.execute("select step_id, flags & 8 from tributary.steps order by 1").fetchall()
    assert flags == [("one", 8), ("two", 0)]


def test_what_was_served_has_completed_and_says_why(connection, claimed):
    process, row = claimed
    assert process.finish([row], "cached", result=json.dumps({"n": 1.0})) == []
    state, reason, result, attempt = connection.execute(
        "select state::text, reason, result, attempt from tributary.steps where step_id = 'one'"
    ).fetchone()
    assert (state, reason, result, attempt) == ("completed", "cached", {"n": 1.0}, 1)
    told = connection.execute(
        "select type from tributary.events where step_id = 'one' order by at, type"
    ).fetchall()
    assert told == [("step_cached",), ("step_completed",)]
    # what needs it goes on
    (after,) = process.claim()
    assert after.step_id == "two"
    kit.check_invariants(connection)


def test_who_waits_for_another_uses_no_attempt_and_leaves_no_event(connection, claimed):
    process, row = claimed
    assert process.finish([row], "cache_wait", delay=5.0) == []
    state, reason, attempt, later = connection.execute(
        "select state::text, reason, attempt, run_at > tributary.clock()"
        " from tributary.steps where step_id = 'one'"
    ).fetchone()
    assert (state, reason, attempt, later) == ("scheduled", "cache_wait", 0, True)
    assert connection.execute("select from tributary.event_log where ordinal = 1").fetchall() == []
    kit.check_invariants(connection)


def test_a_holder_lives_as_long_as_its_lease(connection, count, claimed):
    process, row = claimed
    mine = Holder(str(row.run_id), row.ordinal, row.seq)
    assert holders.lives(connection, count, mine)
    assert not holders.lives(connection, count, mine._replace(seq=row.seq - 1))
    process.finish([row], result="1")
    # its result may be on its way
    assert holders.lives(connection, count, mine)
    connection.execute(
        "update tributary.steps set finished_at = finished_at - interval '6s' where step_id = 'one'"
    )
    assert not holders.lives(connection, count, mine)


def test_tenants_have_entries_of_their_own(store):
    me, you = holder(), holder()
    store.begin(key(tenant="acme"), me)
    assert store.begin(key(tenant="beta"), you) == Mine()
    # even where a digest were the same
    assert store.begin(key(tenant="acme")._replace(tenant="beta"), you) == Mine()
    store.fill(key(tenant="acme"), me, "1")
    assert store.begin(key(tenant="acme"), you) == Hit("1")


def test_what_has_expired_leaves_with_the_maintenance(connection, store):
    for name, ttl in (("a", 60.0), ("b", 7200.0), ("c", None)):
        store.begin(key(name, ttl), me := holder())
        store.fill(key(name, ttl), me, "1")
    connection.execute("update tributary.step_cache set expires_at = expires_at - interval '1h'")
    assert membership.prune_cache(connection) == 1
    assert membership.prune_cache(connection) == 0
    assert store.begin(key("b", 7200.0), holder()) == Hit("1")


def test_a_purge_passes_what_somebody_holds(database, store):
    store.begin(key(), me := holder())
    with kit.connections(database, 1) as (other,), other.transaction():
        other.execute("update tributary.step_cache set version = 'x'")
        assert store.purge(None, expired=False) == 0
    assert store.begin(key(), holder()) == Busy(me, pytest.approx(0, abs=60))


@pytest.mark.one_shard("looks at the plan of one")
def test_entries_are_found_by_their_keys_in_a_table_that_was_never_analyzed(connection, store):
    connection.execute(
        """
        insert into tributary.step_cache (shard, key, step_name, scope, state, value, created_at, expires_at)
        select 0, md5(n::text), 't.price.v1', 'global', 'filled', '1', now(), now() + n * interval '1 min'
        from generate_series(1, 20000) as n
        """
    )
    with connection.transaction():
        store.begin(key(), me := holder())
        store.take_over(key(), me, you := holder())
        store.fill(key(), you, "1")
        store.begin(key(), holder())
        connection.execute(query("prune_cache"))
        read = connection.execute(
            "select seq_tup_read from pg_stat_xact_user_tables where relname = 'step_cache'"
        ).fetchone()[0]
    assert read == 0


def test_an_option_that_is_no_switch_is_refused(connection):
    with pytest.raises(psycopg.DatabaseError, match="cache must be true or false"):
        kit.start(connection, FLOW, submit={"cache": "no"})
    run = kit.start(connection, FLOW, submit={"cache": False})
    options = connection.execute(
        "select ordinal, options -> 'cache' from tributary.payloads where run_id = %s and options ? 'cache'",
        (run,),
    ).fetchall()
    # of steps that have a cache alone
    assert options == [(1, {"level": "submit", "value": False})]

# ruff: noqa: E501 - statements stand on one line
"""Least privilege: every forbidden act is tried as each role, and every allowed one is done."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.membership import KINDS, logins
from tests.store.protocol_kit import offer, save, scalar, workflow

ROOT = Path(__file__).resolve().parents[2]
EVERYBODY = frozenset(KINDS)
ROUTINES = """select p.oid::regprocedure::text from pg_proc p
where p.pronamespace = 'tributary'::regnamespace and {} order by 1"""

# what is done: by whom it may be done. {intent} waits, {run} runs.
READERS = {"read", "worker", "admin", "app"}
SUBMITTERS = {"submit", "worker", "admin", "app"}
ACTS = {
    # reading
    "select payload from tributary.workflow_intent": READERS,
    "select * from tributary.steps": READERS,
    "select * from tributary.payloads": READERS,
    "select * from tributary.log_chunks": READERS,
    "select * from tributary.events": READERS,
    "select * from tributary.workflow_executions": READERS,
    "select intent_id, status, created_at from tributary.workflow_intent": READERS,
    "select source from tributary.revisions": READERS,
    "select name, host, queues from tributary.workers": READERS,
    "select name, is_enabled from tributary.registry": EVERYBODY,
    "select value from tributary.meta": EVERYBODY,
    # submitting
    "select tributary.submit_intent('t.work.v1', '{{}}')": SUBMITTERS,
    "select * from tributary.submit('t.work.v1', '{{}}', '{{\"unique\": {{\"by\": \"payload\"}}}}')": SUBMITTERS,
    "select tributary.submit_workflow('t.flow.v1')": SUBMITTERS,
    "insert into tributary.workflow_intent (name, payload) values ('t.work.v1', '{{}}') returning intent_id": SUBMITTERS,
    "insert into tributary.workflow_intent (name, payload) values ('t.work.v1', '{{}}') returning payload": {
        "worker", "admin", "app"},
    "select tributary.submit_intent('trib.noop.v1', '{{}}')": SUBMITTERS,
    "select tributary.submit_intent('trib.sql.v1', '{{\"sql\": \"select 1\"}}')": {"worker", "admin"},
    "select tributary.submit_intent('trib.http.v1', '{{\"url\": \"http://[::1]/\"}}')": {"worker", "admin"},
    "select tributary.submit_intent('trib.shell.v1', '{{\"run\": \"id\"}}')": {"worker", "admin"},
    "select * from tributary.submit('trib.sql.v1', '{{}}', '{{\"unique\": {{\"key\": \"a\"}}}}')": {
        "worker", "admin"},
    "insert into tributary.workflow_intent (name, payload) values ('trib.sql.v1', '{{}}')": {"worker", "admin"},
    "select * from tributary.submit_named('t.work.v1', false, '{{}}', null, '{{}}', '{{}}', null, 0, '', '@x')": {
        "worker", "admin"},
    "select * from tributary.submit_run('{revision}', 't.flow.v1', '{{}}', null, '{{}}', '{{}}', null, '{{}}', '',"
    " '{{\"one\": {{}}}}', null, null)": {"worker", "admin"},
    "select tributary.save_revision('t.x.v1', repeat('0', 64), '', '{{}}')": {"admin"},
    "select tributary.register_workflow('t.flow.v1', '{revision}', null)": {"admin"},
    "insert into tributary.workflows values ('t.x.v1', '{revision}', null, now())": {"admin"},
    # working
    "select tributary.register_process('p')": {"worker", "admin"},
    "select * from tributary.claim({process}, array['default'], array['t.work.v1'])": {"worker", "admin"},
    "select tributary.finish({process}, '{intent}', 1)": {"worker", "admin"},
    "select tributary.heartbeat({process})": {"worker", "admin"},
    "select tributary.release({process}, '{intent}', 1)": {"worker", "admin"},
    "select * from tributary.claim_leases(0::smallint, {process}, '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', 1)": {
        "worker", "admin"},
    "select tributary.await_ends('{intent}', array['{intent}']::uuid[], array['{dead}']::uuid[], null)": READERS,
    "select tributary.find_ended(array['{intent}']::uuid[])": READERS,
    "select tributary.leave_waiters('{intent}')": READERS,
    "select tributary.sweep_waiters()": {"worker", "admin"},
    "delete from tributary.awaited": {"worker", "admin"},
    "insert into tributary.waiters values ('{intent}', now())": {"worker", "admin"},
    "select tributary.rescue(0::smallint, '10 s', 1)": {"worker", "admin"},
    "select * from tributary.prune_batch(0::smallint, null, null, '1 day', null, null, null, 10)": {
        "worker", "admin"},
    "select * from tributary.ask_breaker('', 'x', 1, 1)": {"worker", "admin"},
    "select tributary.tell_breaker('', 'x', false, null, 5, 60, 30, 1)": {"worker", "admin"},
    "select tributary.take_token('', 'x', 1, 1, 1)": {"worker", "admin"},
    "delete from tributary.circuit_breakers": {"worker", "admin"},
    "select tributary.record_audit('{intent}', '', 'known', 'x', null, 1, 'x', null, null, null, null, null, 1)": {
        "submit", "worker", "admin", "app"},
    "select tributary.prune_audit(0::smallint, 1)": {"worker", "admin"},
    "select count(*) from tributary.audit_log": READERS,
    "insert into tributary.audit_log (run_id, at, shard, tenant_id, action, name, login, place)"
    " values ('{intent}', now(), 0, '', 'known', 'x', 'x', 'x')": set(),
    "update tributary.audit_log set name = 'x'": set(),
    "delete from tributary.audit_log": set(),
    # what tells databases apart that share a store of the step cache
    "select system_identifier from pg_control_system()": {*KINDS, "nobody"},
    # steering
    "select tributary.cancel('{intent}')": {"worker", "admin", "app"},
    "select tributary.signal('{run}', 'go')": {"worker", "admin", "app"},
    "select tributary.approve('{asks}', 'one')": {"admin", "app"},
    "select tributary.reject('{asks}', 'one')": {"admin", "app"},
    "select count(*) from tributary.signals": READERS,
    "select tributary.change('{intent}', priority => 5)": {"admin", "app"},
    "select tributary.pause_run('{run}')": {"admin", "app"},
    "select tributary.retry('{dead}')": {"admin", "app"},
    "select tributary.requeue('{dead}')": {"admin", "app"},
    "select tributary.change('{run}', step => 'one', payload => '{{}}')": {"admin"},
    "select tributary.drop_dead_letter('{dead}', 0)": {"admin", "app"},
    "select * from tributary.steer_many(0::smallint, 'cancel', array['{intent}']::uuid[], array[null], '{{}}')": {
        "admin", "app"},
    "select tributary.set_tenant('acme', concurrency => 1)": {"admin"},
    "select tributary.set_tenants('nobody', null)": {"admin"},
    "insert into tributary.tenant_logins values (session_user, array['acme'])": {"admin"},
    "delete from tributary.tenant_logins": {"admin"},
    "select tributary.set_queue('default', concurrency => 1)": {"admin"},
    "select tributary.limit_submits(session_user, 'none')": {"admin"},
    "select tributary.spend_submits(1)": {"admin"},
    "select tributary.schedule_intent('s', '* * * * *', 't.work.v1')": {"admin"},
    "insert into tributary.queues (name, paused) values ('default', true)": {"admin"},
    "update tributary.registry set is_enabled = false": {"admin"},
    "update tributary.registry set runtime = 'go'": {"admin"},
    "update tributary.schedules set target = 'x'": {"admin"},
    "delete from tributary.revisions where name = 'x'": {"admin"},
    # tables
    "insert into tributary.steps (run_id, seq, created_at, ordinal, kind, state, shard, name)"
    " values (gen_random_uuid(), 1, now(), 0, 'intent', 'available', 0, 'x')": {"worker", "admin"},
    "update tributary.steps set result = '1'": {"worker", "admin"},
    "delete from tributary.steps": {"worker", "admin"},
    "update tributary.payloads set payload = '{{}}'": {"worker", "admin"},
    "delete from tributary.event_log": {"worker", "admin"},
    "delete from tributary.dead_letters": {"worker", "admin"},
    "truncate tributary.steps": set(),
    "update tributary.meta set value = '1'": set(),
    "delete from tributary.migrations": set(),
    # the schema itself
    "create table tributary.mine ()": set(),
    "create function tributary.mine() returns int language sql as 'select 1'": set(),
    "create or replace function tributary.clock() returns timestamptz language sql as 'select now()'": set(),
    "create view tributary.mine as select 1": set(),
    "alter table tributary.steps add column mine int": set(),
    "alter table tributary.steps disable trigger all": set(),
    "create trigger mine before insert on tributary.steps execute function tributary.workflow_intent_insert()": set(),
    "drop table tributary.steps": set(),
    "drop schema tributary cascade": set(),
    "alter function tributary.submit_intent owner to current_user": set(),
    "do $$ begin perform set_config('tributary.fake_now', '2030-01-01T00:00:00Z', true);"
    " perform tributary.submit_intent('t.work.v1'); end $$": set(),
    "do $$ begin perform set_config('tributary.fake_now', '2030-01-01T00:00:00Z', true);"
    " perform tributary.clock(); end $$": set(),
}  # fmt: skip


@pytest.fixture(scope="module")
def urls(server, template):
    with logins(server, template) as found:
        yield found


@pytest.fixture(scope="module")
def known(urls):
    """Names of what the acts are about."""
    with psycopg.connect(urls["owner"], autocommit=True) as owner:
        offer(owner, "t.work.v1")
        revision = save(owner, workflow("t.flow.v1", {"one": ()}))
        scalar(owner, "select tributary.register_workflow('t.flow.v1', %s, null)", revision)
        dead = scalar(owner, "select tributary.submit_intent('t.work.v1')")
        scalar(owner, "select tributary.cancel(%s)", dead)
        letter = scalar(owner, "select tributary.submit_intent('t.work.v1', max_attempts => 1)")
        process = scalar(owner, "select tributary.register_process('p', 'python')")
        token = owner.execute(
            "select token from tributary.claim(%s, array['default'], array['t.work.v1'])", (process,)
        ).fetchone()[0]
        assert scalar(owner, "select tributary.finish(%s, %s, %s, 'discarded')", process, letter, token)
        asks = scalar(owner, "select tributary.submit_workflow('t.flow.v1')")
        owner.execute(
            "with asked as (update tributary.steps set state = 'waiting', reason = 'approval', claimed_at = now()"
            " where run_id = %s returning *) insert into tributary.waits (run_id, began_at, ordinal, shard, kind)"
            " select run_id, now(), ordinal, shard, 'approval' from asked",
            (asks,),
        )
        return {
            "asks": asks,
            "revision": revision,
            "run": scalar(owner, "select tributary.submit_workflow('t.flow.v1')"),
            "intent": scalar(owner, "select tributary.submit_intent('t.work.v1')"),
            "dead": letter,
            "process": process,
        }


def denied(connection, statement):
    """Try a statement, undo it, and return the server's refusal for want of a right; None when it was done."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege as error:
        return error
    return None


@pytest.mark.parametrize("kind", [*KINDS, "nobody"])
def test_who_may_do_what(urls, known, kind):
    wrong = []
    with psycopg.connect(urls[kind], autocommit=True) as connection:
        for act, allowed in ACTS.items():
            refusal = denied(connection, act.format(**known))
            if (refusal is None) != (kind in allowed):
                wrong.append(f"{act}: {'done' if refusal is None else refusal}")
    assert wrong == []


def test_the_owner_may_do_everything(urls, known):
    with psycopg.connect(urls["owner"], autocommit=True) as connection:
        for act in ACTS:
            if not act.startswith(("alter", "drop", "create trigger")):
                assert denied(connection, act.format(**known)) is None, act


def test_set_role_counts_as_well(urls, known):
    """Whoever gives rights up by SET ROLE has them no more, inside of functions of the owner, too."""
    with psycopg.connect(urls["owner"], autocommit=True) as connection:
        group = re.sub(r"^u_", "t_", psycopg.conninfo.conninfo_to_dict(urls["submit"])["user"])
        connection.execute(sql.SQL("set role {}").format(sql.Identifier(group)))
        assert denied(connection, "select tributary.submit_intent('trib.sql.v1')")
        assert denied(connection, "set tributary.fake_now = '2030-01-01'; select tributary.clock()")
        assert denied(connection, "select tributary.submit_intent('t.work.v1')") is None


def test_nobody_reaches_the_private_queue_of_a_run(urls, known):
    """Where `trib run` works, shell steps run: only its own submits may lead there."""
    with psycopg.connect(urls["admin"], autocommit=True) as connection:
        for statement in (
            "select tributary.submit_intent('t.work.v1', queue => '@abc')",
            "select tributary.submit_intent('t.work.v1', queue => '~closing')",
            "select * from tributary.submit('t.work.v1', '{}', '{\"queue\": \"@abc\"}')",
            "select tributary.submit_workflow('t.flow.v1', queue => '@abc')",
            f"select tributary.change('{known['intent']}', queue => '@abc')",
        ):
            with pytest.raises(psycopg.Error, match="is no queue for work") as caught:
                connection.execute(statement)
            assert caught.value.sqlstate == "TR001"
    with (
        psycopg.connect(urls["submit"], autocommit=True) as connection,
        pytest.raises(psycopg.Error, match="is no queue for work"),
    ):
        connection.execute(
            "select * from tributary.submit_named('t.work.v1', false, '{}', null, '{}', '{\"queue\": \"@abc\"}',"
            " null, 0, '', null)"
        )


def test_nobody_else_calls_anything(connection):
    """PostgreSQL lets everybody call a new function: nothing of the schema is left so."""
    callable_by_all = [
        row[0]
        for row in connection.execute(ROUTINES.format("has_function_privilege('public', p.oid, 'execute')"))
    ]
    # whoever reads a table, by whatever grant, calls what its policies call
    assert callable_by_all == [
        "tributary.sees_row(uuid,smallint)", "tributary.sees_schedule(text)", "tributary.session_tenants()",
    ]  # fmt: skip


def test_what_runs_with_the_owners_rights_is_listed_and_has_a_fixed_search_path(connection):
    found = {
        row[0].partition("(")[0].removeprefix("tributary."): row[1]
        for row in connection.execute(
            "select p.oid::regprocedure::text, p.proconfig from pg_proc p"
            " where p.pronamespace = 'tributary'::regnamespace and p.prosecdef"
        )
    }
    assert set(found) == {
        "submit", "submit_intent", "submit_workflow", "submit_named", "submit_row_with", "submit_run",
        "submit_run_with", "submit_intents", "prepare_many", "workflow_intent_insert", "await_ends", "leave_waiters",
        "register_functions", "cancel", "signal", "approve", "reject", "change", "retry", "retry_only", "retry_preview",
        "requeue", "requeue_steps", "pause_run", "resume_run", "steer_many", "drop_dead_letter", "queue_held",
        "session_tenants", "sees_row", "sees_schedule", "place_to_seal", "record_audit", "prune_audit",
    }  # fmt: skip
    assert {name for name, config in found.items() if "search_path=tributary, pg_temp" not in config} == set()


def test_a_table_of_ones_own_leads_no_function_astray(urls):
    """What a caller puts into pg_temp or the search_path is never what a function of the owner finds."""
    with psycopg.connect(urls["submit"], autocommit=True) as connection:
        connection.execute("create temp table registry (name text, options jsonb, offered_at timestamptz)")
        connection.execute(
            "create function pg_temp.clock() returns timestamptz language sql as 'select null::timestamptz'"
        )
        connection.execute("set search_path to pg_temp, public")
        found = scalar(connection, "select tributary.submit_intent('t.shadow.v1')")
    with psycopg.connect(urls["owner"]) as owner:
        assert owner.execute(
            "select created_at is not null, reason from tributary.steps where run_id = %s", (found,)
        ).fetchone() == (True, "no_handler")


def test_every_table_and_routine_has_its_readers(urls):
    """A relation that a migration adds is readable by the roles that read, without a line of its own."""
    with psycopg.connect(urls["read"]) as connection:
        unread = connection.execute(
            "select c.relname from pg_class c where c.relnamespace = 'tributary'::regnamespace"
            " and c.relkind in ('r', 'v') and not has_table_privilege(c.oid, 'select')"
        ).fetchall()
    assert unread == []


def test_what_the_read_role_may_call_writes_nothing(urls):
    with psycopg.connect(urls["read"]) as connection:
        names = {
            row[0].partition("(")[0].removeprefix("tributary.")
            for row in connection.execute(ROUTINES.format("has_function_privilege(p.oid, 'execute')"))
        }
    assert len(names) > 15
    # for which work it waits
    for name in names - {"await_ends", "leave_waiters", "session_tenants", "sees_row", "sees_schedule"}:
        text = (ROOT / "sql" / "functions" / f"{name}.sql").read_text(encoding="utf-8")
        assert not re.search(
            r"\b(insert into|update \w|delete from|for update|pg_notify|set_config)", text
        ), name

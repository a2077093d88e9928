"""A finished state never changes but by an explicit retry: every function of the protocol is tried."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from tests.store import protocol_kit as kit
from tests.store.ends import hold_ends
from tributary_daemon.model.states import RUN_ENDED, STEP_ENDED

pytestmark = pytest.mark.one_shard("calls every function for the shard where its rows are, by number")

GUARDS = Path(__file__).resolve().parents[1] / "guards"
RETRIES = {"retry", "retry_only", "requeue", "requeue_steps"}
ROWS = """
    select 'step', ctid::text, xmin::text, to_jsonb(s) from tributary.steps s where run_id = any (%(ids)s)
    union all
    select 'run', ctid::text, xmin::text, to_jsonb(r) from tributary.runs r where run_id = any (%(ids)s)
    union all
    select 'dead letter', ctid::text, xmin::text, to_jsonb(d) from tributary.dead_letters d
    where run_id = any (%(ids)s)
    order by 1, 2
"""
OUTCOMES = (
    *("completed", "skipped", "retry", "discarded", "aborted", "snoozed", "released", "returned"),
    *("crashed", "suspected", "crashed_alone", "expanded", "started", "decided", "waits"),
    *("suspended", "continued", "parked", "cached", "cache_wait"),
)
LANES = "array['default'], array[0]::smallint[], array[''], array[0]::bigint[], array['t.work.v1'], 9"
TOKEN = "array[%(id)s]::uuid[], array[%(ordinal)s], array[%(seq)s]::bigint[]"
PLACE = "array[%(tid)s]::tid[]"
MINE = "true, '{default}', '{t.work.v1}', 9"


def finishing(head):
    """Return the statements that write each outcome with a token."""
    rest = """array['1'], array['{"type": "X", "message": "x"}'], array[0::float8], array[0::float8]"""
    return [f"select {head}, {TOKEN}, array['{outcome}'], {rest}, {MINE})" for outcome in OUTCOMES]


# what is said of each row, with every token that was ever handed out for it and with a later one
SAID = {
    "cancel": ["select tributary.cancel(%(id)s, 'why')"],
    "change": [
        f"select tributary.change(%(id)s, {change}, step => %(step)s)"
        for change in (
            "priority => 5",
            "queue => 'other'",
            "run_after => now() + interval '1h'",
            "payload => '{}'",
        )
    ],
    "signal": ["select tributary.signal(%(id)s, 'go')"],
    "approve": ["select tributary.approve(%(id)s, %(step)s)"],
    "reject": ["select tributary.reject(%(id)s, %(step)s)"],
    "pause_run": ["select tributary.pause_run(%(id)s)"],
    "resume_run": ["select tributary.resume_run(%(id)s)"],
    "retry_preview": ["select tributary.retry_preview(%(id)s)"],
    "finish": [
        f"select tributary.finish(%(process)s, %(id)s, %(seq)s, '{outcome}')"
        for outcome in ("completed", "retry", "discarded", "snoozed", "released")
    ],
    "release": ["select tributary.release(%(process)s, %(id)s, %(seq)s)"],
    "heartbeat": [
        "select tributary.heartbeat(%(process)s)",
        "select tributary.heartbeat(%(process)s, %(id)s, %(seq)s, '1')",
    ],
    "finish_leases": [
        *finishing(f"tributary.finish_leases(0::smallint, %(process)s, {PLACE}"),
        (
            f"select tributary.finish_leases(0::smallint, %(process)s, {PLACE}, {TOKEN}, null, array['1'],"
            f" null, null, array[0::float8], {MINE})"
        ),
    ],
    "exchange_leases": [
        (
            f"select tributary.exchange_leases(0::smallint, %(process)s, {PLACE}, {TOKEN}, array['1'],"
            " array[0::float8], '{default}', '{t.work.v1}', 9, array['default'], array[0]::smallint[],"
            " array[''],"
            " array[0]::bigint[], 9)"
        )
    ],
    "finish_steps": finishing("tributary.finish_steps(0::smallint, %(process)s"),
    "mark_started": [f"select tributary.mark_started(0::smallint, {TOKEN})"],
    "reconcile": [
        f"select tributary.reconcile(0::smallint, %(process)s, {TOKEN})",
        "select tributary.reconcile(0::smallint, %(process)s, '{}', '{}', '{}')",
    ],
    "group_step": [
        "select tributary.group_step(0::smallint, %(process)s, %(id)s, %(ordinal)s, %(seq)s, 'g', 1, 'queue')"
    ],
    "leave_ended": ["select tributary.leave_ended(0::smallint, array[%(id)s]::uuid[], array[%(ordinal)s])"],
    "steer_many": [
        f"select tributary.steer_many(0::smallint, '{action}', array[%(id)s]::uuid[], array[%(step)s],"
        f" '{given}')"
        for action, given in (("cancel", "{}"), ("change", '{"priority": 5}'))
    ],
    "save_progress": ["select tributary.save_progress(0::smallint, %(id)s, %(ordinal)s, %(seq)s, '1')"],
    "keep_history": [
        (
            f"select tributary.keep_history(0::smallint, {TOKEN}, '{{1}}', array['[{{}}]'], array['1'],"
            " array['[3]'], array[%(id)s]::uuid[])"
        )
    ],
    "save_history": [
        "select tributary.save_history(0::smallint, %(id)s, %(ordinal)s, %(seq)s, 1, '[{}]', '1')"
    ],
}
# what is said of all at once
WORDS = {
    "claim": ["select tributary.claim(%(process)s, '{default}', '{t.work.v1}', 9)"],
    "claim_leases": [f"select tributary.claim_leases(0::smallint, %(process)s, {LANES})"],
    "claim_attempts": [f"select tributary.claim_attempts(0::smallint, %(process)s, {LANES})"],
    "claim_steps": [f"select tributary.claim_steps(0::smallint, %(process)s, {LANES})"],
    "promote": ["select tributary.promote(0::smallint, 500)"],
    "fire_waits": ["select tributary.fire_waits(0::smallint, 500)"],
    "promote_groups": ["select tributary.promote_groups(0::smallint, 500)"],
    "release_parked": ["select tributary.release_parked(0::smallint, '{t.work.v1}')"],
    "release_unread": ["select tributary.release_unread(0::smallint, 30, 500)"],
    "release_waiting": ["select tributary.release_waiting(0::smallint, 500)"],
    "sweep_groups": ["select tributary.sweep_groups(500, null)"],
    "rescue": ["select tributary.rescue(0::smallint, interval '0', 500)"],
    "rescue_dead": ["select tributary.rescue_dead(0::smallint, interval '0', 500, tributary.clock())"],
    "tidy": ["select tributary.tidy(interval '1s')"],
    "register_handlers": [
        """select tributary.register_handlers('python',
           '[{"name": "t.work.v1", "options": {"queue": "other", "priority": 7, "max_attempts": 9}}]')"""
    ],
    "register_process": ["select tributary.register_process('x', 'go', '{t.work.v1,t.new.v1}')"],
    "register_worker": [
        "select tributary.register_worker('w', 'h', 1, '1', 1, '{default}', '{t.work.v1}', 1, '{}')"
    ],
    "beat_worker": [
        "select tributary.beat_worker(0, 'running', 1, true, '{}', array[%(process)s], '{1}', '{1}', '{1}')"
    ],
    "supervise": ["select tributary.supervise(0, array[%(process)s], '{default}', true, 'running')"],
    "tidy_fleet": ["select tributary.tidy_fleet(interval '1s')"],
    "expire_runs": ["select tributary.expire_runs(0::smallint, 500)"],
    "fill_waiting": ["select tributary.fill_waiting(0::smallint, 500)"],
    **{
        name: [f"select tributary.{name}(0, 6, interval '10s', tributary.clock(), interval '60s')"]
        for name in ("attend_all", "attend_work")
    },
    "attend": ["select tributary.attend(0, 6, interval '10s', tributary.clock(), interval '60s')"],
    "lead": ["select tributary.lead('maintenance', 0, 6)"],
    "command_worker": ["select tributary.command_worker('w', 'pause')"],
    "inherit_command": ["select tributary.inherit_command(0, 1, null)"],
    "set_queue": [
        "select tributary.set_queue('default', 1, '1/s')",
        "select tributary.set_queue('default', 0, 'none')",
    ],
    "sample_queues": ["select tributary.sample_queues(500)"],
    "submit": [
        "select tributary.submit('t.work.v1', '{}', '{\"idempotency_key\": \"known\"}')",
        *(
            "select tributary.submit('t.work.v1', '{}',"
            f""" '{{"unique": {{"key": "one", "on_conflict": "{way}"}}, "priority": 1}}')"""
            for way in ("keep", "replace", "debounce")
        ),
    ],
    "submit_intent": [
        "select tributary.submit_intent('t.work.v1', idempotency_key => 'known', priority => 3)"
    ],
    "leave": ["select tributary.leave(0, array[%(process)s])"],
}
# they record new work, read, write beside it, or take it away as a whole
APART = {
    *("begin_cached", "take_cached", "fill_cached", "drop_cached", "purge_cached"),
    *("submit_workflow", "submit_alone", "submit_intents", "submit_named", "submit_row_with"),
    *("submit_run", "submit_run_alone", "submit_run_with", "prepare_many"),
    *(
        "limit_submits",
        "set_tenant",
        "set_tenants",
        "tenant_to_submit",
        "ask_breaker",
        "tell_breaker",
        "take_token",
        "record_audit",
        "prune_audit",
        "drop_dead_letter",
        "schedule_intent",
        "schedule_workflow",
        "unschedule",
        "pause_schedule",
        "resume_schedule",
        "trigger_schedule",
    ),
    *("backfill_slot", "disable_schedule", "fire_queued", "fire_schedule", "keep_schedule", "plan_schedule"),
    *("replan_schedules", "trigger_slot", "due_schedules", "due_slots", "register_workflow", "save_revision"),
    *("register_functions", "is_asked", "await_ends", "find_ended", "leave_waiters"),
    *(
        "find_lanes",
        "find_new_lanes",
        "limits_on",
        "survey_lanes",
        "survey_news",
        "survey_shards",
        "served_shards",
        "window_end",
        "shard_count",
        "shard_of",
        "wake",
        "wake_freed",
        "clock",
    ),
    *("ended_badly", "first_id", "kept_from", "list_intents", "list_runs", "queue_opens", "rate_text"),
    *(
        "run_state_now",
        "find_prunable",
        "write_logs",
        "place_to_seal",
        "sealed_rows",
        "reseal_row",
        "forget_unique",
        "prune_batch",
        "prune_kept",
    ),
    *("read_events", "next_id", "find_correlated"),
}


class Museum:
    """Intents and runs in all their ends, and the tokens that once were theirs."""

    def __init__(self, connection):
        self.connection = connection
        kit.offer(connection)
        self.process = kit.Process(connection)
        self.tokens = []
        keyed = kit.scalar(
            connection, "select tributary.submit_intent('t.work.v1', idempotency_key => 'known')::text"
        )
        unique = kit.scalar(
            connection,
            """select id::text from tributary.submit('t.work.v1', '{}', '{"unique": {"key": "one"}}')""",
        )
        intents = [keyed, unique, kit.intent(connection), kit.intent(connection)]
        claimed = self.held()
        self.process.finish(claimed[:1], result='"mine"')
        self.process.finish(claimed[1:3], "discarded")
        kit.scalar(connection, "select tributary.cancel(%s)", claimed[3].run_id)
        steps = {"good": (), "bad": (), "below": ("bad",), "last": ("below",)}
        failed = kit.start(connection, kit.workflow("w.v1", steps))
        self.process.finish(self.held(), ["completed", "discarded"])
        cancelled = kit.start(connection, kit.workflow("w.v1", steps))
        self.process.finish(self.held()[:1])
        kit.scalar(connection, "select tributary.cancel(%s)", cancelled)
        completed = kit.start(connection, kit.workflow("w.v1", {"a": (), "b": ("a",)}))
        self.process.finish(self.held())
        self.process.finish(self.held())
        self.ids = [*intents, failed, cancelled, completed]

    def held(self):
        """Claim what there is, and keep the tokens."""
        claimed = self.process.claim()
        self.tokens += claimed
        return claimed

    def rows(self):
        """Return every row, with its place and the transaction that wrote it."""
        return self.connection.execute(ROWS, {"ids": [UUID(one) for one in self.ids]}).fetchall()

    def targets(self):
        """Return what statements may name: each token, a later one, and rows that were never claimed."""
        for process in (self.process.id, self.process.id + 1):
            for item in self.tokens:
                for seq in (item.seq, item.seq + 1):
                    yield self._names(process, item.run_id, item.ordinal, seq, item.tid, item.step_id)
        rows = self.connection.execute(
            "select run_id::text, ordinal, seq, ctid::text, step_id from tributary.steps"
            " where run_id = any (%s::uuid[])",
            (self.ids,),
        ).fetchall()
        for row in rows:
            yield self._names(self.process.id, *row)
            yield self._names(self.process.id, *row[:-1], None)

    def _names(self, *values):
        return dict(zip(("process", "id", "ordinal", "seq", "tid", "step"), values, strict=True))

    def say(self, statement, names):
        """Run a statement; a refusal is an answer, too."""
        try:
            self.connection.execute(statement, names)
        except psycopg.Error as error:
            assert error.sqlstate.startswith("TR00"), error  # noqa: PT017 - both answers are right


@pytest.fixture
def museum(connection):
    made = Museum(connection)
    hold_ends(connection)
    yield made
    kit.check_invariants(connection)


def test_all_ends_are_there(museum):
    states = "select distinct state::text from tributary.{} where run_id = any (%s::uuid[])"
    found = {
        table: museum.connection.execute(states.format(table), (museum.ids,)).fetchall()
        for table in ("steps", "runs")
    }
    assert {state for (state,) in found["steps"]} == set(STEP_ENDED)
    assert {state for (state,) in found["runs"]} == set(RUN_ENDED)


def test_nothing_that_is_said_of_an_end_changes_it(museum):
    before = museum.rows()
    for name, statements in SAID.items():
        for names in museum.targets():
            for statement in statements:
                museum.say(statement, names)
        assert museum.rows() == before, name


def test_nothing_that_is_done_for_all_changes_an_end(museum):
    before = museum.rows()
    kit.advance(museum.connection, "1 year")
    museum.process.beat()
    for name, statements in WORDS.items():
        for statement in statements:
            museum.say(statement, {"process": museum.process.id})
        assert museum.rows() == before, name


def test_only_a_retry_does(museum):
    before = museum.rows()
    for one in museum.ids:
        museum.say("select tributary.retry(%(id)s)", {"id": one})
    assert museum.rows() != before
    with pytest.raises(psycopg.Error, match="without a retry"):
        museum.connection.execute(
            "update tributary.steps set state = 'available', finished_at = null where state = 'completed'"
        )


def test_no_function_of_the_protocol_is_left_out():
    lines = [
        line
        for name in ("protocol_signatures.txt", "worker_signatures.txt")
        for line in (GUARDS / name).read_text(encoding="utf-8").splitlines()
    ]
    known = {line.partition("(")[0] for line in lines}
    assert known - SAID.keys() - WORDS.keys() - RETRIES - APART == set()

"""What must hold of the rows between any two transactions, and which changes of state there may be."""

from __future__ import annotations

from typing import Any

from tributary_daemon.model.states import STEP_TRANSITIONS, StepState

_ENDED = "('completed', 'skipped', 'cancelled', 'discarded')"
# a workflow function decides what the failure of a step means that it has asked for
_ASKED = "(s.flags & 24576 = 16384)"
_ILL = "s.state = 'cancelled' or s.reason = 'aborted' or (s.state = 'discarded' and s.flags & 1 = 0)"
_BAD = f"(not {_ASKED} and ({_ILL}))"
INVARIANTS = {
    "remaining is the number of unended steps": f"""
        select r.run_id from tributary.runs r where r.remaining <> (
            select count(*) from tributary.steps s
            where s.shard = r.shard and s.run_id = r.run_id and s.kind = 'step'
              and s.state not in {_ENDED})""",
    "an ended run has no unended row": f"""
        select r.run_id from tributary.runs r
        join tributary.steps s on s.shard = r.shard and s.run_id = r.run_id
        where r.state not in ('running', 'paused') and s.state not in {_ENDED}""",
    "a run at work has work": f"""
        select r.run_id from tributary.runs r where r.state in ('running', 'paused') and not exists (
            select from tributary.steps s
            where s.shard = r.shard and s.run_id = r.run_id and s.state <> 'blocked'
              and s.state not in {_ENDED})""",
    "failed counts what ended badly": f"""
        select r.run_id from tributary.runs r
        where r.state in ('running', 'paused', 'completed') and r.failed <> (
            select count(*) from tributary.steps s
            where s.shard = r.shard and s.run_id = r.run_id and s.kind = 'step' and {_BAD})""",
    "a failed run has a reason": """
        select run_id from tributary.runs
        where state = 'failed' and failed = 0 and reason is distinct from 'result'""",
    "a completed run failed nowhere": """
        select run_id from tributary.runs where state = 'completed' and failed > 0""",
    "warnings counts what was tolerated": """
        select r.run_id from tributary.runs r where r.warnings <> (
            select count(*) from tributary.steps s
            where s.shard = r.shard and s.run_id = r.run_id and s.kind = 'step'
              and s.state = 'discarded' and s.flags & 1 = 1 and s.reason <> 'aborted')""",
    "blocked means unmet": f"""
        select run_id from tributary.steps
        where state not in {_ENDED} and (state = 'blocked' or reason = 'steps') <> (unmet > 0)""",
    "unmet counts the needs that have not ended": f"""
        select s.run_id from tributary.steps s where s.state = 'blocked' and s.kind = 'step' and s.unmet <> (
            select count(*) from tributary.edges e
            join tributary.steps p on p.shard = e.shard and p.run_id = e.run_id and p.ordinal = e.parent
            where e.shard = s.shard and e.run_id = s.run_id and e.child = s.ordinal
              and p.state not in {_ENDED})""",
    "nothing starts below a need that ended badly": f"""
        select c.run_id from tributary.steps c
        join tributary.edges e on e.shard = c.shard and e.run_id = c.run_id and e.child = c.ordinal
        join tributary.steps s on s.shard = e.shard and s.run_id = e.run_id and s.ordinal = e.parent
        where c.state in ('available', 'scheduled', 'running', 'completed', 'discarded')
          and not {_ASKED} and (s.state not in {_ENDED} or {_BAD})
          -- `retry --only` of a step leaves as it is what had completed below it before
          and not (c.state = 'completed' and s.state not in {_ENDED} and exists (
            select from tributary.event_log l
            where l.shard = c.shard and l.run_id = c.run_id and l.type = 'run_retried'
              and l.at >= c.finished_at))""",
    "discarded rows have their dead letter": f"""
        select s.run_id from tributary.steps s
        where s.kind <> 'closing' and not {_ASKED}
          and (s.state = 'discarded' and (s.flags & 1 = 0 or s.reason = 'aborted')) <> exists (
            select from tributary.dead_letters d
            where d.shard = s.shard and d.run_id = s.run_id and d.ordinal = s.ordinal)""",
    "discarded rows have their attempt": """
        select s.run_id from tributary.steps s where s.state = 'discarded' and not exists (
            select from tributary.attempts a
            where a.shard = s.shard and a.run_id = s.run_id and a.ordinal = s.ordinal
              and a.attempt = s.attempt and a.outcome in ('discarded', 'aborted'))""",
    "who waits for a handler is not claimable": """
        select run_id from tributary.steps
        where reason = 'no_handler' and state in ('available', 'scheduled', 'running', 'completed')""",
    "attempts are counted on from their base": """
        select run_id from tributary.steps
        where attempt - attempt_base < crashes or attempt_base < 0 or max_attempts < 1
           or crashes < 0 or lone_crashes not between 0 and crashes""",
    "what runs was claimed at some time": """
        select run_id from tributary.steps where state = 'running' and claimed_at is null""",
    "keys lead to their row": """
        select k.run_id from tributary.keys k where not exists (
            select from tributary.steps s where s.shard = k.shard and s.run_id = k.run_id)""",
    "steps have their payload": """
        select s.run_id from tributary.steps s where s.kind <> 'closing' and (s.payload is null) <> exists (
            select from tributary.payloads p
            where p.shard = s.shard and p.run_id = s.run_id and p.ordinal = s.ordinal)""",
}


def check_invariants(connection) -> None:
    """Assert what must hold between any two transactions."""
    broken: dict[str, Any] = {}
    for rule, sql in INVARIANTS.items():
        if found := connection.execute(sql + " limit 3").fetchall():
            broken[rule] = [
                connection.execute(
                    "select ordinal, state::text, reason, unmet, flags, attempt from tributary.steps"
                    " where run_id = %s order by ordinal limit 20",
                    (run_id,),
                ).fetchall()
                for (run_id,) in found
            ]
    assert broken == {}


def watch_transitions(connection) -> None:
    """Log every change of a step's state from now on."""
    connection.execute("""
        create table public.transitions (run_id uuid, ordinal int, old text, new text, renewed boolean);
        create function public.log_transition() returns trigger language plpgsql as $$
        begin
            insert into public.transitions
            values (new.run_id, new.ordinal, old.state::text, new.state::text, new.seq > old.seq);
            return null;
        end $$;
        create trigger watched after update on tributary.steps for each row
            when (old.state is distinct from new.state) execute function public.log_transition()
    """)


def check_transitions(connection) -> set[tuple[StepState, StepState]]:
    """Assert that the model knows every logged transition, and that what became available has a new seq."""
    rows = connection.execute("select distinct old, new, renewed from public.transitions").fetchall()
    assert [found for found in rows if found[1] == "available" and not found[2]] == []
    seen = {(StepState(old), StepState(new)) for old, new, _ in rows}
    assert {(old, new) for old, new in seen if new not in STEP_TRANSITIONS[old]} == set()
    return seen

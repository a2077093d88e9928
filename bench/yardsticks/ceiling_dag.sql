-- Finish, release of children and claim in one function: fenced, run rows locked in order, counters, an event row per step.
create table executions (
    id bigint primary key, state text not null default 'running', remaining int not null, finished_at timestamptz
) with (fillfactor = 50);
create sequence ready_seq;
create table steps (
    id bigint primary key,
    execution_id bigint not null,
    name text not null,
    queue text not null default 'default',
    priority int not null default 0,
    state "char" not null,
    seq bigint,
    waiting int not null default 0,
    attempt int not null default 0,
    worker uuid,
    args jsonb,
    result jsonb,
    run_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz
) with (fillfactor = 70);
create index steps_ready on steps (queue, priority desc, seq) where state = 'a';
create table deps (parent bigint not null, child bigint not null, primary key (parent, child));
create table events (
    id bigint generated always as identity, execution_id bigint, step_id bigint, kind text,
    at timestamptz default clock_timestamp()
);

create function finish_and_claim(
    p_worker uuid, p_ids bigint[], p_attempts int[], p_results text[], p_queue text, p_low bigint, p_n int
) returns table (id bigint, execution_id bigint, name text, args jsonb, attempt int, seq bigint)
language plpgsql as $$
#variable_conflict use_column
begin
    if cardinality(p_ids) > 0 then
        perform from executions e
        where e.id = any (array(select distinct s.execution_id from steps s where s.id = any (p_ids)))
        order by e.id for update;
        with done as (
            update steps s set state = 'c', result = u.result::jsonb, worker = null, finished_at = now()
            from unnest(p_ids, p_attempts, p_results) as u (id, attempt, result)
            where s.id = u.id and s.state = 'r' and s.attempt = u.attempt and s.worker = p_worker
            returning s.id, s.execution_id
        ), hit as (
            select d.child, count(*)::int as parents from done join deps d on d.parent = done.id group by d.child
        ), released as (
            update steps s
            set waiting = waiting - hit.parents,
                state = case when waiting = hit.parents then 'a' else state end,
                seq = case when waiting = hit.parents then nextval('ready_seq') else seq end
            from hit where s.id = hit.child
            returning 1
        ), counted as (
            update executions e
            set remaining = remaining - ended.steps,
                state = case when remaining = ended.steps then 'completed' else state end,
                finished_at = case when remaining = ended.steps then now() end
            from (select done.execution_id, count(*)::int as steps from done group by 1) as ended
            where e.id = ended.execution_id
            returning 1
        )
        insert into events (execution_id, step_id, kind) select execution_id, id, 'completed' from done;
    end if;
    if p_n > 0 then
        return query
        with ready as (
            select s.id from steps s
            where s.state = 'a' and s.queue = p_queue and s.priority = 0 and s.seq > p_low
            order by s.seq limit p_n for update skip locked
        )
        update steps s set state = 'r', attempt = s.attempt + 1, worker = p_worker, started_at = now()
        from ready where s.id = ready.id
        returning s.id, s.execution_id, s.name, s.args, s.attempt, s.seq;
    end if;
end $$;

-- The checker's own notes inside the database: every change of state, written by the transaction that makes it.
create schema chaos;

create table chaos.changes (
    number     bigint generated always as identity primary key,
    at         timestamptz not null default clock_timestamp(),
    run_id     uuid not null,
    ordinal    integer not null,
    before     text,
    after      text not null,
    attempt    integer not null default 0,
    seq        bigint not null default 0,
    seq_before bigint,
    process_id bigint
);

create table chaos.effects (run_id uuid not null, ordinal integer not null, x text not null);

create function chaos.note_step() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        insert into chaos.changes (run_id, ordinal, before, after, attempt, seq, seq_before)
        values (old.run_id, old.ordinal, old.state, 'deleted', old.attempt, old.seq, old.seq);
    else
        insert into chaos.changes (run_id, ordinal, before, after, attempt, seq, seq_before, process_id)
        values (new.run_id, new.ordinal, case when tg_op = 'UPDATE' then old.state end, new.state, new.attempt, new.seq,
                case when tg_op = 'UPDATE' then old.seq end,
                coalesce(new.process_id, case when tg_op = 'UPDATE' then old.process_id end));
    end if;
    return null;
end $$;

create trigger chaos_insert_delete after insert or delete on tributary.steps for each row execute function chaos.note_step();
create trigger chaos_update after update on tributary.steps for each row
    when (old.state is distinct from new.state or old.seq is distinct from new.seq or old.attempt is distinct from new.attempt
          or (old.finished_at is not null and old.* is distinct from new.*))
    execute function chaos.note_step();

create function chaos.note_run() returns trigger language plpgsql as $$
begin
    insert into chaos.changes (run_id, ordinal, before, after)
    values (coalesce(new.run_id, old.run_id), -1, case when tg_op <> 'INSERT' then old.state end,
            case when tg_op = 'DELETE' then 'deleted' else new.state::text end);
    return null;
end $$;

create trigger chaos_insert_delete after insert or delete on tributary.runs for each row execute function chaos.note_run();
create trigger chaos_update after update on tributary.runs for each row
    when (old.state is distinct from new.state) execute function chaos.note_run();

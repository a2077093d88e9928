-- Public. Limits a queue over all workers: how many of its attempts run at once, and how many start in a span of time ('100/s', '5000/h').
-- What is null stays as it is; concurrency 0 and rate 'none' take a limit away. It holds for every claim from its commit on, whatever
-- runs already counts. Returns the limits as they are now. Locks: the queue's row and its counter.
create or replace function tributary.set_queue(name text, concurrency integer default null, rate text default null)
returns table (queue text, max_running integer, max_rate text)
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
#variable_conflict use_variable
declare
    v_rate integer;
    v_per integer;
    v_queue queues;
begin
    perform check_name('a queue''s name', name);
    if name ~ '[:,~]' or name like '@%' or name <> btrim(name) then
        raise exception 'queue % holds a character with another meaning', quote_literal(name)
            using errcode = 'TR001', hint = 'leave out : , ~ @ and spaces around';
    elsif concurrency < 0 then
        raise exception 'a queue cannot run % attempts at once', concurrency using errcode = 'TR001', hint = '1 or more, 0 for no limit';
    end if;
    if rate <> 'none' then
        v_rate := (read_rate(rate))[1];
        v_per := (read_rate(rate))[2];
        if v_rate = 0 then
            raise exception 'a rate of 0 would let nothing start' using errcode = 'TR001', hint = 'pause the queue instead';
        end if;
    end if;
    insert into queues as q (name, concurrency, rate, rate_per)
    values (name, nullif(concurrency, 0), v_rate, v_per)
    on conflict on constraint queues_pkey do update
    set concurrency = case when set_queue.concurrency is null then q.concurrency else excluded.concurrency end,
        rate = case when set_queue.rate is null then q.rate else excluded.rate end,
        rate_per = case when set_queue.rate is null then q.rate_per else excluded.rate_per end
    returning q.* into v_queue;
    if v_queue.concurrency is null and v_queue.rate is null then
        delete from queue_counters c where c.queue = set_queue.name;
    else
        -- a claim that began before this commits takes no slot: for two minutes, longer than any may last, they are looked for
        insert into queue_counters as c (queue, tokens, filled_at, census_until)
        values (name, greatest(1, v_queue.rate::float8 / v_queue.rate_per), clock(), clock_timestamp() + interval '2 minutes')
        on conflict on constraint queue_counters_pkey do update
        set census_until = excluded.census_until,
            tokens = case when set_queue.rate is null then c.tokens else excluded.tokens end,
            filled_at = case when set_queue.rate is null then c.filled_at else excluded.filled_at end;
    end if;
    if v_queue.concurrency is null then
        delete from queue_slots k where k.queue = set_queue.name;
    end if;
    perform wake(array[name]);
    return query select v_queue.name, v_queue.concurrency, rate_text(v_queue.rate, v_queue.rate_per);
end $$;

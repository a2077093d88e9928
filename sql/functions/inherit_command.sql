-- A worker that registers anew takes over what an operator wanted of it: from its former row, else p_known, what it has heard itself.
create or replace function tributary.inherit_command(p_worker bigint, p_former bigint, p_known text) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
declare
    v_command text;
    v_now timestamptz;
begin
    select w.command into v_command from workers w where w.worker_id = p_former for update;
    if not found then
        v_command := p_known;
    end if;
    v_now := clock();
    update workers w set command = v_command, commanded_at = v_now where w.worker_id = p_worker and v_command is not null;
end $$;

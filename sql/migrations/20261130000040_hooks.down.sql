-- What was audited is not to vanish with a step back.
do $$ begin
    if exists (select from audit_log) then
        raise exception 'audit_log holds rows, which this would drop'
            using hint = 'copy them elsewhere, then: truncate tributary.audit_log';
    end if;
end $$;
drop table audit_log;
drop table rate_buckets;
drop table circuit_breakers;

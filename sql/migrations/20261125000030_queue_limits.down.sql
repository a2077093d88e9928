alter table workers drop column patterns;
drop table group_slots;
drop table groups;
drop table queue_stats;
drop table queue_slots;
drop table queue_counters;
alter table queues
    drop constraint queues_rate_has_a_span,
    drop column concurrency,
    drop column rate,
    drop column rate_per;

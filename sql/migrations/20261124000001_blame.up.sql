-- Blame for crashes: a step that had started when its process crashed is a suspect, and runs alone from then on.
-- Nullable and without a default: rows of work that goes well carry nothing for it.

alter table steps add column lone_crashes smallint;
-- not valid: the rows that exist are all null, and need no scan under the lock
alter table steps add constraint steps_lone_crashes_hold check (lone_crashes is null or lone_crashes between 0 and crashes) not valid;

comment on column steps.crashes is 'Attempts that ended with their process since the last explicit retry; they do not use up max_attempts.';
comment on column steps.lone_crashes is 'Null: not suspected of crashing its process. Else it runs alone in a process, and that many crashes came while it did; three prove its guilt.';

-- empty but for suspects that wait: for workers of other runtimes, who may claim such a row only while they hold nothing
create index steps_suspects on steps (shard, queue) where state = 'available' and lone_crashes is not null;

drop index runs_kept;
alter table runs drop column keep_name;
drop table workflow_keeps;
drop index steps_expiring;
alter table steps drop column expires_at;
drop table unique_keys;

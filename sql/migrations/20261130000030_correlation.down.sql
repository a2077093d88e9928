drop index attempts_by_time;
drop index event_log_by_time;
alter table steps drop column correlated;
drop table correlations;

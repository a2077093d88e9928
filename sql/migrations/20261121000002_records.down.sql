drop table progress, dead_letters, event_log, attempts;

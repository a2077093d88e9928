drop table step_cache;

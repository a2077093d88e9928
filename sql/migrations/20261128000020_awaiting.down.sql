drop table awaited;
drop table waiters;

drop table signals;
drop table waits;

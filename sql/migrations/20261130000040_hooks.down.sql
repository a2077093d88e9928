drop table rate_buckets;
drop table circuit_breakers;

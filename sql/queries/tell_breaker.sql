-- Tells a circuit breaker how an attempt has ended.
-- Locks: the breaker's row.
-- Index: circuit_breakers_pkey, circuit_breakers_by_age.
-- Caller: store.flow.tell_breaker
select tributary.tell_breaker(%(tenant)s, %(name)s, %(good)s, %(token)s, %(failures)s, %(window)s, %(wait)s, %(probes)s)

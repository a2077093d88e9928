-- Asks a circuit breaker whether an attempt may pass.
-- Locks: the breaker's row, unless it is closed or still open.
-- Index: circuit_breakers_pkey.
-- Caller: store.flow.ask_breaker
select a.state, a.opens_in, a.token from tributary.ask_breaker(%(tenant)s, %(name)s, %(wait)s, %(probes)s) as a

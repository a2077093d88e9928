-- Database time, the server's version and the number of shards.
-- Locks: none.
-- Index: none.
-- Caller: store.fleet.clock
select tributary.clock(), current_setting('server_version'), tributary.shard_count()

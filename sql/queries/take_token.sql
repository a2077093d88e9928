-- Takes a token from a bucket, or tells when to ask again.
-- Locks: the bucket's row.
-- Index: rate_buckets_pkey, rate_buckets_by_full.
-- Caller: store.flow.take_token
select tributary.take_token(%(tenant)s, %(name)s, %(rate)s, %(per)s, %(burst)s)

insert into payloads (run_id, ordinal, shard, payload)
select s.run_id, s.ordinal, s.shard, s.payload from steps s where s.payload is not null;

alter table steps drop column payload;

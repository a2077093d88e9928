-- Which shards a worker serves: those in shards, all of them when it is null; one that spreads shares them with its equals.
alter table workers add column shards smallint[];
alter table workers add column spreads boolean not null default false;

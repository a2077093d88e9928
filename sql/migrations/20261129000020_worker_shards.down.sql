alter table workers drop column shards;
alter table workers drop column spreads;

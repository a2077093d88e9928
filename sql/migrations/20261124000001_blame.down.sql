drop index steps_suspects;
alter table steps drop column lone_crashes;
comment on column steps.crashes is null;

drop table schedule_fires, schedules;

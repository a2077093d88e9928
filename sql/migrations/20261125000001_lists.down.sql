drop index runs_unusual;
drop index steps_unusual;

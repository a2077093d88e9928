alter table processes drop column current, drop column rss, drop column slots;
alter table workers drop column processes, drop column commanded_at, drop column command;

-- Nothing but the functions has changed.
select 1;

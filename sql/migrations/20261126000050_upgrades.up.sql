-- Functions have changed since the release before; this makes its schema known as an older one.
select 1;

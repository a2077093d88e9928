-- Functions go and come with every `down`.
select 1;

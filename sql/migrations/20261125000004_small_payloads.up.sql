-- A small payload without options lies in its step's row: a submit is one row and two index entries less.
-- Nullable and without a default: no table is rewritten, and what is stored already stays where it is.

alter table steps add column payload jsonb;

comment on column steps.payload is 'A small payload that came without options or key; null where it lies in payloads.';
comment on table payloads is 'Insert-only; what does not lie in the row itself. Ordinal 0: the payload of an intent or the inputs of a run; else the with of a step. options keeps each option with the level it came from.';

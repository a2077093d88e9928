drop table keys, edges, payloads, steps, runs;
drop type run_state, step_state, step_kind;

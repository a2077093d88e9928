-- a workflow function cannot go on without its history: what was at work has failed, once there is a release again that has it
comment on column steps.flags is 'Bits: 1 optional (continue_on_error), 2 a need ended badly, 4 decides itself (its condition has a status function, or it gathers items), 8 with holds expressions, 16 run_after counts from the end of the needs, 32 has a condition, 64 its run is paused, 128 its run limits what runs at once, 256 item of a fan-out, 512 on_success, 1024 on_failure, 2048 on_cancel, 4096 finally, 512 and 1024 together undo, 8192 a fan-out whose items exist, 16384 a fan-out whose aggregate exists.';
drop index steps_parked;
drop table history;

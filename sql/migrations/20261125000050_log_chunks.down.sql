drop table log_chunks;

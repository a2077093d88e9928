drop table submit_limits;

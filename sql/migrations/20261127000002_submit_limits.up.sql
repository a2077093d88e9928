-- How often logins may submit that may do nothing else: see tributary.limit_submits.
create table submit_limits (
    role      text collate "C" not null primary key,
    rate      integer     not null,
    rate_per  integer     not null,
    tokens    float8      not null,
    filled_at timestamptz not null,
    constraint submit_limits_rates_hold check (rate >= 1 and rate_per >= 1)
) with (fillfactor = 50);

comment on table submit_limits is 'Logins whose submits are limited: a bucket of rate tokens that fills within rate_per seconds.';

-- What an application may do beside submitting and reading (roles.sql): it says to its own work whatever can be said to one run or intent.
-- All of it is done by functions of the owner, which look for whom the session acts; it writes no table. Bound to tenants by
-- tributary.set_tenants it sees and reaches the work of these alone. Whoever writes tables may lead work to act with the rights of a worker,
-- so no worker's and no admin's login is bound to a tenant.
grant execute on routine tributary.cancel, tributary.signal, tributary.approve, tributary.reject, tributary.change, tributary.retry,
    tributary.retry_only, tributary.retry_preview, tributary.requeue, tributary.requeue_steps, tributary.pause_run, tributary.resume_run,
    tributary.steer_many, tributary.drop_dead_letter
    to {app};

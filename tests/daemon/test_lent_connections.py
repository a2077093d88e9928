"""What a handler may do with the connection that finishes its step, and what it is refused."""

from __future__ import annotations

import pytest

REFUSED = "the transaction of step.connection() is ended with the step"


AGAIN = '{"delay": 0.05, "backoff": "fixed"}'


def attempts_that_left_something(desk, run):
    rows = desk.sql.execute("select distinct attempt from effects where id = %s order by 1", (run,))
    return [attempt for (attempt,) in rows]


@pytest.mark.parametrize("name", ["t.ends.v1", "t.aends.v1"])
def test_effects_do_not_outlive_a_failure_whatever_the_handler_tries(shared, name):
    ways = ("commit", "autocommit", "with", "block", "rolled back")
    runs = {how: shared.submit(name, {"how": how}, retry=AGAIN) for how in ways}
    for how, run in runs.items():
        shared.until(run, "completed", timeout=40)
        # a transaction of its own would be kept although the first attempt has failed
        assert attempts_that_left_something(shared, run) == [2], how
        said = shared.result(run)
        assert (said == "") if how in ("block", "rolled back") else said.startswith(REFUSED), (how, said)

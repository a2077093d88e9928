"""The hook ``rate_limit`` on a bench, and in front of a database that does not answer."""

from __future__ import annotations

import pytest

from tributary_daemon import events, handler
from tributary_daemon.errors import ConfigError
from tributary_daemon.handlers.hook_events import HookFailed
from tributary_daemon.handlers.hooks import Host
from tributary_daemon.hooks.rate_limit import RateLimit
from tributary_daemon.testing import Bench


@pytest.fixture
def called():
    names = []

    @handler("api.call.v1")
    def call(customer: str = "") -> None:
        names.append(customer)

    @handler("api.acall.v1")
    async def acall(customer: str = "") -> None:
        names.append(customer)

    return names


@pytest.mark.parametrize("name", ["api.call.v1", "api.acall.v1"])
def test_so_many_start_in_a_span_and_the_others_are_put_off(called, name):
    with Bench(hooks=[RateLimit(rate="2/m", burst=2)]) as bench:
        begun = bench.now
        runs = [bench.submit(name).id for _ in range(6)]
        bench.work()
        assert len(called) == 2
        documents = [bench.finish(run) for run in runs]
        assert {document.attempt for document in documents} == {1}
        # four more at two a minute, and a tenth of each wait on top
        assert 90 <= (bench.now - begun).total_seconds() <= 240
    assert len(called) == 6


def test_each_value_of_a_key_and_each_tenant_has_its_own(called):
    with Bench(hooks=[RateLimit(rate="1/h", key="customer", per_tenant=True)]) as bench:
        for customer in ("ada", "ada", "bob"):
            bench.submit("api.call.v1", {"customer": customer})
        bench.work()
        assert sorted(called) == ["ada", "bob"]


def test_nobody_is_put_off_for_longer_than_that(called):
    with Bench(hooks=[RateLimit(rate="1/d", longest="10m")]) as bench:
        bench.submit("api.call.v1")
        late = bench.submit("api.call.v1").id
        begun = bench.now
        bench.work()
        assert (bench.client.get(late).run_at - begun).total_seconds() == pytest.approx(600, abs=1)


def test_a_database_that_cannot_be_reached_stops_nothing():
    class Step:
        name, tenant = "api.call.v1", ""

    told = []
    detach = events.attach(told.append)
    hook = RateLimit(rate="1/s")
    hook.before_work(Step, {})
    hook.open(Host(lambda: "postgresql://nobody@127.0.0.1:1/none?connect_timeout=1", "x", "worker"))
    hook.before_work(Step, {})
    hook.close()
    detach()
    assert [type(event) for event in told] == [HookFailed]


@pytest.mark.parametrize(
    ("rate", "burst"), [("100/s", 100), ("90/m", 1), ("7200/h", 2), ("1/90s", 1), ("20/d", 1)]
)
def test_a_bucket_holds_what_a_second_brings(rate, burst):
    assert RateLimit(rate=rate)._burst == burst


@pytest.mark.parametrize("rate", ["", "0/s", "1/y", "1/0s", "x/s", 5, "1/90m", "-1/s"])
def test_what_is_no_rate_is_refused(rate):
    with pytest.raises(ConfigError, match="rate: a rate such as 100/s"):
        RateLimit(rate=rate)

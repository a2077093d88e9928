"""The hook ``circuit_breaker`` on a bench, and in front of a database that does not answer."""

from __future__ import annotations

import pytest

from tributary_daemon import Abort, Retry, Snooze, events, handler
from tributary_daemon.errors import ConfigError, HandlerTimeout, InvalidInput, StepCancelled
from tributary_daemon.handlers.hook_events import BreakerClosed, BreakerOpened, HookFailed
from tributary_daemon.handlers.hooks import Host
from tributary_daemon.hooks.circuit_breaker import CircuitBreaker
from tributary_daemon.testing import Bench


@pytest.fixture
def told():
    heard = []
    detach = events.attach(heard.append)
    yield heard
    detach()


class Bank:
    """Handlers that talk to something which is up or down."""

    def __init__(self):
        self.up = False
        self.calls = []
        bank = self

        @handler("bank.charge.v1", max_attempts=50, retry=Retry(backoff="fixed", delay=1, jitter=0))
        def charge(to: str = "a") -> str:
            bank.calls.append(to)
            if not bank.up:
                raise ConnectionError("down")
            return "charged"

        @handler("bank.call.v1", max_attempts=50, retry=Retry(backoff="fixed", delay=1, jitter=0))
        async def call(to: str = "a") -> str:
            return charge(to)


@pytest.fixture
def bank():
    return Bank()


def breaker(**options):
    return CircuitBreaker(**{"failures": 3, "window": "1m", "wait": "5m", "refresh": 0, **options})


@pytest.mark.parametrize("name", ["bank.charge.v1", "bank.call.v1"])
def test_attempts_are_put_off_until_a_probe_succeeds(bank, told, name):
    with Bench(hooks=[breaker()]) as bench:
        begun = bench.now
        runs = [bench.submit(name).id for _ in range(20)]
        bench.advance("3s")
        bench.work()
        assert len(bank.calls) == 3
        bench.advance("4m")
        bench.work()
        assert len(bank.calls) == 3
        bench.advance("2m")
        bench.work()
        # one tried, and it was opened again for five minutes
        assert len(bank.calls) == 4
        bank.up = True
        documents = [bench.finish(run) for run in runs]
        assert {document.state for document in documents} == {"completed"}
        assert len(bank.calls) == 24
        # nothing but the four calls that failed has used up an attempt
        assert sum(document.attempt - 1 for document in documents) == 4
        assert (bench.now - begun).total_seconds() < 3600
    opened = [event for event in told if isinstance(event, BreakerOpened)]
    closed = [event for event in told if isinstance(event, BreakerClosed)]
    assert [(event.breaker, event.seconds) for event in opened] == [(name, 300.0)] * 2
    assert [event.breaker for event in closed] == [name]


def test_each_value_of_a_key_has_its_own_or_all_handlers_one(bank):
    with Bench(hooks=[breaker(key="to")]) as bench:
        for _ in range(3):
            bench.submit("bank.charge.v1", {"to": "a"})
        bench.submit("bank.charge.v1", {"to": "b"})
        bench.work()
        assert sorted(bank.calls) == ["a", "a", "a", "b"]
    bank.calls.clear()
    with Bench(hooks=[breaker(group="bank")]) as bench:
        for name in ("bank.charge.v1", "bank.call.v1") * 4:
            bench.submit(name)
        bench.work()
        assert len(bank.calls) == 3


def test_what_comes_while_it_is_open_may_be_discarded(bank):
    with Bench(hooks=[breaker(when_open="abort")]) as bench:
        runs = [bench.submit("bank.charge.v1").id for _ in range(4)]
        bench.work()
        last = bench.client.get(runs[3])
        assert (last.state, last.error.reason) == ("discarded", "aborted")
        assert last.error.message == "circuit breaker bank.charge.v1 is open"


def test_a_process_believes_for_a_while_that_it_is_closed(bank):
    bank.up = True
    asked = []

    class Asking(CircuitBreaker):
        def _run(self, step, make):
            asked.append(step.name)
            return super()._run(step, make)

    with Bench(hooks=[Asking(refresh="1h")]) as bench:
        for _ in range(3):
            bench.run("bank.charge.v1")
    assert len(asked) == 1


class _Step:
    name, tenant, idempotency_token, attempt = "bank.charge.v1", "acme", "x/0", 1


@pytest.mark.parametrize(
    ("error", "good"),
    [
        (None, True),
        (ConnectionError("down"), False),
        (HandlerTimeout(), False),
        (SystemExit(3), False),
        (Abort("bad order"), None),
        (Snooze(3), None),
        (StepCancelled(), None),
        (InvalidInput("payload"), None),
        (KeyError("x"), None),
    ],
)
def test_what_says_nothing_of_the_other_side_does_not_count(error, good):
    assert breaker(ignore=["LookupError"])._judge(error) is good


def test_a_database_that_cannot_be_reached_stops_nothing(told):
    hook = breaker()
    hook.before_work(_Step, {})
    hook.open(Host(lambda: "postgresql://nobody@127.0.0.1:1/none?connect_timeout=1", "x", "worker"))
    hook.before_work(_Step, {})
    hook.after_work(_Step, {}, None, ConnectionError())
    hook.close()
    failed = [event for event in told if isinstance(event, HookFailed)]
    assert [event.name for event in failed] == ["bank.charge.v1"] * 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"failures": 0}, "failures: 0 is not between 1 and 1000"),
        ({"window": "2d"}, "window: at most a day"),
        ({"wait": "soon"}, "wait: "),
        ({"when_open": "drop"}, "when_open: one of snooze, abort"),
        ({"key": "a..b"}, "key is to be a path"),
        ({"group": ""}, "group is to be a name"),
    ],
)
def test_options_that_do_not_fit_are_named(options, words):
    with pytest.raises(ConfigError, match=words):
        CircuitBreaker(**options)

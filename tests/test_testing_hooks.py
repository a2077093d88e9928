"""`tributary_daemon.testing` with hooks: given to a bench, around its submits and its attempts."""

from __future__ import annotations

import pytest

from tributary_daemon import Hook, Snooze, handler
from tributary_daemon.errors import ConfigError, HandlerError, InvalidInput
from tributary_daemon.testing import Bench, run_workflow


class Late(Hook):
    """Puts off each first attempt by an hour, and notes what ends."""

    def __init__(self, notes):
        self.notes = notes
        self.seen = set()

    def open(self, host):
        self.notes.append(f"open {host.label}")

    def close(self):
        self.notes.append("close")

    def before_work(self, step, payload):
        if step.run_id not in self.seen:
            self.seen.add(step.run_id)
            raise Snooze("1h")

    async def after_work(self, step, payload, result, error):
        self.notes.append((step.name, result))


@pytest.fixture
def notes():
    return []


def test_hooks_of_a_bench_lie_around_its_attempts(server, notes):
    @handler("bench.plain.v1")
    def plain(n: int) -> int:
        return n + 1

    @handler("bench.async.v1")
    async def asynchronous(n: int) -> int:
        return n + 2

    late = Late(notes)
    with Bench(url=server, hooks=[late]) as bench:
        begun = bench.now
        assert bench.run("bench.plain.v1", {"n": 1}).result == 2
        assert (bench.now - begun).total_seconds() == 3600
        assert bench.run("bench.async.v1", {"n": 1}).result == 3
    # the client of the bench has them too, but nothing of them that is called there
    assert [note for note in notes if note != "open client"] == [
        "open testing", ("bench.plain.v1", 2), ("bench.async.v1", 3), "close", "close",
    ]  # fmt: skip


def test_hooks_may_be_tables_and_refuse_what_is_submitted(server):
    @handler("bench.plain.v1")
    def plain(n: int) -> int:
        return n

    table = {"use": "validation", "input": {"properties": {"n": {"maximum": 3}}}, "result": {"minimum": 2}}
    with pytest.raises(InvalidInput, match="4 is greater than the maximum of 3"):
        run_workflow("bench.plain.v1", {"n": 4}, hooks=[table], url=server)
    assert run_workflow("bench.plain.v1", {"n": 3}, hooks=[table], url=server).result == 3
    ended = run_workflow("bench.plain.v1", {"n": 1}, hooks=[table], url=server)
    assert (ended.state, ended.error.type) == ("discarded", "InvalidInput")


def test_what_cannot_be_is_told_before_anything_runs(server):
    @handler("bench.async.v1")
    async def asynchronous() -> None: ...

    class Plain(Hook):
        def around_work(self, step, payload, call):
            return call(payload)

    with pytest.raises(HandlerError, match="cannot wait for bench"), Bench(url=server, hooks=[Plain()]):
        pass
    with pytest.raises(ConfigError, match="did you mean 'validation'"):
        Bench(url=server, hooks=[{"use": "valid"}])

"""Hooks of clients: before and after each submit, in whatever way it comes."""

from __future__ import annotations

import asyncio
import threading

import psycopg
import pytest

from tributary_daemon import Hook, Workflow, app, events
from tributary_daemon.errors import InvalidInput
from tributary_daemon.handlers.hook_events import HookFailed


class Noting(Hook):
    """Notes each call, and adds a field to payloads of the names it is for."""

    def __init__(self, notes, label="a", refuse=None, fail=None):
        self.notes, self.label, self.refuse, self.fail = notes, label, refuse, fail

    def open(self, host):
        self.notes.append((self.label, "open", host.place))

    def close(self):
        self.notes.append((self.label, "close"))

    def before_submit(self, work):
        self.notes.append((self.label, work.kind, work.step or work.name))
        if self.refuse is not None:
            raise self.refuse
        return {**work.payload, "by": work.payload.get("by", "") + self.label}

    def after_submit(self, work, receipt):
        self.notes.append((self.label, "after", work.kind, receipt.created))
        if self.fail is not None:
            raise self.fail


class ANoting(Noting):
    async def before_submit(self, work):
        await asyncio.sleep(0)
        return Noting.before_submit(self, work)

    async def after_submit(self, work, receipt):
        await asyncio.sleep(0)
        return Noting.after_submit(self, work, receipt)


@pytest.fixture
def noted():
    return []


def test_each_sees_the_work_the_first_one_nearest_to_the_database(database, noted):
    with app.Client(database, hooks=[Noting(noted, "a"), ANoting(noted, "b")]) as client:
        receipt = client.submit("hook.a.v1", {"n": 1}, idempotency_key="k")
        assert client.submit("hook.a.v1", {"n": 1}, idempotency_key="k").id == receipt.id
        assert client.get(receipt.id).payload == {"n": 1, "by": "ba"}
    calls = [("b", "intent", "hook.a.v1"), ("a", "intent", "hook.a.v1")]
    assert noted == [
        ("a", "open", "client"), ("b", "open", "client"),
        *calls, ("a", "after", "intent", True), ("b", "after", "intent", True),
        *calls, ("a", "after", "intent", False), ("b", "after", "intent", False),
        ("b", "close"), ("a", "close"),
    ]  # fmt: skip


def test_what_one_raises_before_refuses_and_nothing_is_stored(database, connection, noted):
    with app.Client(database, hooks=[Noting(noted, refuse=InvalidInput("not today"))]) as client:
        flow = Workflow("hook.flow.v1").add("one", "hook.a.v1", {})
        for refused in (
            lambda: client.submit("hook.a.v1", {}),
            lambda: client.submit(flow),
            lambda: client.submit_many("hook.a.v1", [{}, {}]),
        ):
            with pytest.raises(InvalidInput, match="not today"):
                refused()
    assert connection.execute("select count(*) from tributary.steps").fetchone() == (0,)


def test_what_one_raises_after_is_told_and_changes_nothing(database, noted):
    told = []
    detach = events.attach(told.append)
    try:
        with app.Client(database, hooks=[Noting(noted, fail=OSError("full"))]) as client:
            assert client.submit("hook.a.v1", {}).created
    finally:
        detach()
    (event,) = [event for event in told if isinstance(event, HookFailed)]
    assert (event.method, event.name, event.error) == ("after_submit", "hook.a.v1", "OSError: full")


def test_checks_come_before_hooks(database, noted):
    with app.Client(database, hooks=[Noting(noted)]) as client, pytest.raises(InvalidInput):
        client.submit("hook.a.v1", {"n": float("nan")})
    assert noted == []


def test_what_a_hook_leaves_has_to_fit_into_the_database(database, noted):
    class Inflating(Hook):
        def before_submit(self, work):
            return "x" * 2_000_000

    with app.Client(database, hooks=[Inflating()]) as client, pytest.raises(InvalidInput, match="allowed"):
        client.submit("hook.a.v1", {})


def test_a_workflow_is_seen_by_its_inputs_and_by_the_payloads_of_its_steps(database, noted):
    flow = Workflow("hook.flow.v1").add("one", "hook.a.v1", {"n": 1}).add("two", "hook.b.v1", needs=["one"])
    with app.Client(database, hooks=[Noting(noted)]) as client:
        client.submit(flow)
    assert [note[1:] for note in noted if note[1] in ("run", "step")] == [
        ("run", "hook.flow.v1"), ("step", "one"),
    ]  # fmt: skip


def test_a_registered_workflow_is_checked_before_its_hooks(database, noted, tmp_path):
    path = tmp_path / "flow.yaml"
    path.write_text(
        "name: hook.flow.v1\ninputs: {n: {type: integer, default: 4}}\n"
        "steps: {one: {task: hook.a.v1, with: {n: '${{ inputs.n }}'}}}\n"
    )
    with app.Client(database) as client:
        client.register(path)
    with app.Client(database, hooks=[Noting(noted)]) as client:
        receipt = client.submit("hook.flow.v1")
        assert client.get(receipt.id).inputs == {"n": 4, "by": "a"}
        with pytest.raises(InvalidInput):
            client.submit("hook.flow.v1", {"n": "many"})
    assert [note for note in noted if note[1] == "run"] == [("a", "run", "hook.flow.v1")]


def test_many_are_seen_one_by_one(database, connection, noted):
    with app.Client(database, hooks=[Noting(noted)]) as client:
        ids = client.submit_many("hook.a.v1", [{"n": 1}, {"n": 2}], run_after="1h")
        assert [client.get(each).payload for each in ids] == [{"n": 1, "by": "a"}, {"n": 2, "by": "a"}]
    assert [note[1] for note in noted] == ["open", "intent", "intent", "after", "after", "close"]


def test_in_the_callers_transaction_they_know_that_nothing_is_committed(database, noted):
    class Asking(Hook):
        def before_submit(self, work):
            noted.append(work.borrowed)

    with app.Client(database, hooks=[Asking()]) as client, psycopg.connect(database) as own:
        client.submit("hook.a.v1", {}, connection=own)
        client.submit_many("hook.a.v1", [{}], connection=own)
        client.submit("hook.a.v1", {})
        own.rollback()
    assert noted == [True, True, False]


def test_names_limit_them_and_a_dry_run_passes_none(database, noted):
    hook = Noting(noted)
    hook.names = ("other.%",)
    with app.Client(database, hooks=[hook]) as client:
        client.submit("hook.a.v1", {})
        client.dry_run("other.a.v1", {})
    assert [note[1] for note in noted] == ["open", "close"]


@pytest.mark.parametrize("kind", [Noting, ANoting])
def test_the_async_client_does_the_same(database, noted, kind):
    class Waiting(Hook):
        blocking = True

        def before_submit(self, work):
            noted.append(("thread", threading.current_thread() is threading.main_thread()))

    async def main():
        async with app.AsyncClient(database, hooks=[kind(noted), Waiting()]) as client:
            receipt = await client.submit("hook.a.v1", {"n": 1})
            ids = await client.submit_many("hook.a.v1", [{"n": 2}])
            async with await psycopg.AsyncConnection.connect(database) as own:
                await client.submit("hook.a.v1", {"n": 3}, connection=own)
            return [(await client.get(each)).payload for each in (receipt.id, *ids)]

    assert asyncio.run(main()) == [{"n": 1, "by": "a"}, {"n": 2, "by": "a"}]
    assert noted == [
        ("a", "open", "client"),
        *[("thread", False), ("a", "intent", "hook.a.v1"), ("a", "after", "intent", True)] * 3,
        ("a", "close"),
    ]

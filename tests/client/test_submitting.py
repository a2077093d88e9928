"""Submitting through the client, on a real database."""

from __future__ import annotations

import threading

import psycopg
import pytest
from psycopg.rows import dict_row
from pydantic import BaseModel

from tributary_daemon import app
from tributary_daemon.client.workflow import Workflow
from tributary_daemon.errors import CodecError, InvalidInput, InvalidWorkflow, KeyConflict, NotFound
from tributary_daemon.handlers.declare import handler
from tributary_daemon.handlers.registry import REGISTRY

CHAIN = """
name: test.chain.v1
inputs:
  email: {type: string}
  count: {type: integer, default: 3}
labels: {team: core}
steps:
  first: {task: test.first.v1, with: {email: "${{ inputs.email }}"}}
  second: {needs: first, task: test.second.v1, with: {n: 1}, max_attempts: 5, priority: 7}
"""


class Args(BaseModel):
    content_id: str
    width: int = 10


class Other(BaseModel):
    x: int


@pytest.fixture
def thumbnail():
    @handler("test.thumbnail.v1", queue="media")
    def thumbnail(args: Args) -> dict:
        return {"id": args.content_id}

    yield thumbnail
    REGISTRY.remove("test.thumbnail.v1")


@pytest.fixture
def chain(tmp_path):
    path = tmp_path / "chain.yaml"
    path.write_text(CHAIN)
    return path


def rows(database, sql, *params):
    with psycopg.connect(database) as connection:
        return connection.execute(sql, params).fetchall()


def stored(database):
    tables = ("steps", "runs", "payloads", "edges", "keys", "revisions")
    return {table: rows(database, f"select count(*) from tributary.{table}")[0][0] for table in tables}


def test_an_intent_is_recorded_as_given(client, database):
    receipt = client.submit(
        "billing.charge.v1",
        {"amount": 12.5, "tags": ["a", None]},
        idempotency_key="charge:1",
        queue="money",
        priority=4,
        max_attempts=7,
        timeout="30s",
    )
    assert receipt.to_json() == {
        "id": receipt.id,
        "kind": "intent",
        "name": "billing.charge.v1",
        "state": "waiting",
        "created": True,
    }
    document = client.get(receipt.id)
    assert document.payload == {"amount": 12.5, "tags": ["a", None]}
    assert (document.queue, document.priority, document.max_attempts) == ("money", 4, 7)
    assert (document.state, document.reason, document.attempts, document.error) == (
        "waiting",
        "no_handler",
        (),
        None,
    )
    options = rows(database, "select options from tributary.payloads")[0][0]
    assert options["timeout"] == {"value": 30.0, "level": "submit"}


def test_an_unknown_handler_is_stored_with_a_warning_that_names_the_nearest(client, thumbnail):
    receipt = client.submit("test.thumbnial.v1")
    assert receipt.created
    assert "did you mean 'test.thumbnail.v1'?" in receipt.warnings[0]


def test_strict_refuses_an_unknown_handler_and_stores_nothing(client, database):
    before = stored(database)
    with pytest.raises(InvalidInput, match=r"no worker has offered the handler 'test\.nobody\.v1'"):
        client.submit("test.nobody.v1", strict=True)
    assert stored(database) == before


def test_a_known_key_gives_the_known_work(client):
    first = client.submit("test.a.v1", {"n": 1}, idempotency_key="k")
    second = client.submit("test.a.v1", {"n": 2}, idempotency_key="k")
    assert (second.id, second.created) == (first.id, False)
    assert client.get(first.id).payload == {"n": 1}
    with pytest.raises(KeyConflict, match=r"'k' is known under the name test\.a\.v1"):
        client.submit("test.b.v1", idempotency_key="k")


def test_twenty_submits_with_one_key_at_once_are_one_run(database, chain):
    found = []

    def submit():
        with app.Client(database) as own:
            found.append(own.submit(chain, {"email": "a@b.c"}, idempotency_key="one"))

    threads = [threading.Thread(target=submit) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert len({receipt.id for receipt in found}) == 1
    assert sum(receipt.created for receipt in found) == 1
    assert stored(database)["runs"] == 1


def test_a_file_is_recorded_with_its_steps(client, chain, database):
    receipt = client.submit(str(chain), {"email": "a@b.c"}, labels={"env": "test"})
    assert (receipt.kind, receipt.name, receipt.created) == ("run", "test.chain.v1", True)
    document = client.get(receipt.id)
    assert document.inputs == {"email": "a@b.c", "count": 3}
    assert document.labels == {"team": "core", "env": "test"}
    assert list(document.steps) == ["first", "second"]
    second = document.steps["second"]
    assert (second.state, second.needs, second.max_attempts, second.priority) == ("blocked", ("first",), 5, 7)
    assert client.submit(chain, {"email": "x@y.z"}).id != receipt.id
    assert stored(database)["revisions"] == 1


def test_faults_of_inputs_are_reported_together_and_nothing_is_stored(client, chain, database):
    before = stored(database)
    with pytest.raises(InvalidInput) as caught:
        client.submit(chain, {"count": "many", "emial": "x"})
    assert "email" in str(caught.value)
    assert "count" in str(caught.value)
    assert stored(database) == before


def test_a_broken_file_stores_nothing(client, tmp_path, database):
    path = tmp_path / "broken.yaml"
    path.write_text("steps:\n  a: {task: x.y.v1, needs: b}\n")
    before = stored(database)
    with pytest.raises(InvalidWorkflow):
        client.submit(path)
    with pytest.raises(NotFound, match="there is no file"):
        client.submit("nowhere.yaml")
    assert stored(database) == before


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"a": ["x", "\0"]}, r"payload\.a\[1\] contains a NUL"),
        ({"n": float("nan")}, r"payload\.n is nan"),
        ({"big": "x" * 5 * 1024 * 1024}, "more than the 1.00 MiB"),
        ({"o": object()}, r"payload\.o is of type object"),
    ],
)
def test_what_json_cannot_hold_is_refused_before_anything_is_stored(client, database, payload, message):
    before = stored(database)
    with pytest.raises(CodecError, match=message):
        client.submit("test.a.v1", payload)
    assert stored(database) == before


def test_a_payload_is_checked_against_the_handler_of_this_process(client, thumbnail, database):
    before = stored(database)
    with pytest.raises(InvalidInput, match=r"test\.thumbnail\.v1 does not take this payload"):
        client.submit("test.thumbnail.v1", {"width": "wide"})
    assert stored(database) == before


def test_handlers_and_their_models_are_targets(client, thumbnail):
    by_function = client.submit(thumbnail, Args(content_id="c_1"))
    by_model = client.submit(Args(content_id="c_2", width=3))
    assert (by_function.name, by_model.name) == ("test.thumbnail.v1", "test.thumbnail.v1")
    assert client.get(by_model.id).payload == {"content_id": "c_2", "width": 3}
    with pytest.raises(NotFound, match="no handler takes Other"):
        client.submit(Other(x=1))
    with pytest.raises(InvalidInput, match="is not a handler"):
        client.submit(lambda: None)


def test_a_workflow_built_in_python_keeps_payloads_out_of_its_revision(client, thumbnail, database):
    def build(content):
        return (
            Workflow("test.built.v1")
            .add("thumb", Args(content_id=content))
            .add("tell", "test.tell.v1", {"of": "${{ steps.thumb.result.id }}"}, needs=["thumb"], priority=5)
        )

    first = client.submit(build("c_1"))
    second = client.submit(build("${{ inputs.trick }}"))
    assert stored(database)["revisions"] == 1
    payloads = dict(rows(database, "select run_id::text, payload from tributary.payloads where ordinal = 1"))
    assert payloads[first.id] == {"content_id": "c_1", "width": 10}
    # a model is data: what looks like an expression in it is not one
    assert payloads[second.id] == {"content_id": "${{ inputs.trick }}", "width": 10}
    assert rows(database, "select distinct flags & 8 from tributary.steps where ordinal = 1") == [(0,)]
    assert client.get(first.id).steps["tell"].priority == 5


def test_a_registered_workflow_goes_before_an_intent_of_that_name(client, chain):
    assert client.submit("test.chain.v1").kind == "intent"
    registration = client.register(chain)
    assert registration.change == "created"
    receipt = client.submit("test.chain.v1", {"email": "a@b.c"})
    assert receipt.kind == "run"
    assert client.get(receipt.id).revision == registration.revision
    assert client.workflow("test.chain.v1").inputs["count"].default == 3
    assert client.workflow("test.nothing.v1") is None


def test_registering_other_content_warns_and_strict_refuses_it(client, chain, thumbnail):
    @handler("test.first.v1")
    def first(email: str) -> None: ...

    @handler("test.second.v1")
    def second(n: int) -> None: ...

    try:
        assert client.register(chain, strict=True).change == "created"
        assert client.register(chain).change == "unchanged"
        chain.write_text(CHAIN.replace("priority: 7", "priority: 8"))
        with pytest.raises(InvalidInput, match="other content is registered"):
            client.register(chain, strict=True)
        changed = client.register(chain)
        assert changed.change == "revised"
        assert any("other content" in warning for warning in changed.warnings)
    finally:
        REGISTRY.remove("test.first.v1")
        REGISTRY.remove("test.second.v1")


@pytest.mark.parametrize("autocommit", [False, True])
@pytest.mark.parametrize("row_factory", [None, dict_row])
def test_a_submit_takes_part_in_the_callers_transaction(client, database, chain, autocommit, row_factory):
    options = {} if row_factory is None else {"row_factory": row_factory}
    with psycopg.connect(database, autocommit=autocommit, **options) as own:
        with own.transaction(force_rollback=True):
            client.submit("test.a.v1", connection=own)
            client.submit(chain, {"email": "a@b.c"}, connection=own)
            client.submit_many("test.a.v1", [{}, {}], connection=own)
        assert stored(database)["steps"] == 0
        assert stored(database)["revisions"] == 0
        with own.transaction():
            receipt = client.submit("test.a.v1", connection=own)
            with pytest.raises(NotFound):
                client.get(receipt.id)
        if not autocommit:
            own.commit()
    assert client.get(receipt.id).name == "test.a.v1"


def test_run_after_is_a_delay_or_a_time(client):
    later = client.submit("trib.noop.v1", run_after="1h")
    document = client.get(later.id)
    assert 3590 < (document.run_at - document.created_at).total_seconds() < 3610
    fixed = client.submit("trib.noop.v1", run_after="2040-01-31T08:00:00+01:00")
    assert client.get(fixed.id).to_json()["run_at"] == "2040-01-31T07:00:00.000000Z"


def test_dry_run_stores_nothing(client, database, chain):
    before = stored(database)
    plan = client.dry_run(chain, {"email": "a@b.c"}, priority=3)
    assert plan["inputs"] == {"email": "a@b.c", "count": 3}
    assert plan["steps"]["second"]["needs"] == ["first"]
    assert plan["options"]["submit"] == {"priority": 3}
    assert len(plan["warnings"]) == 2
    assert client.dry_run("test.a.v1", {"n": 1})["payload"] == {"n": 1}
    assert stored(database) == before


def test_rerun_is_the_same_work_anew(client, chain):
    first = client.submit(chain, {"email": "a@b.c"}, labels={"env": "x"}, idempotency_key="k", queue="q")
    again = client.rerun(first.id)
    one, two = client.get(first.id), client.get(again.id)
    assert again.created
    assert again.id != first.id
    assert (two.inputs, two.labels, two.revision) == (one.inputs, one.labels, one.revision)
    assert two.idempotency_key is None
    assert {step.queue for step in two.steps.values()} == {"q"}
    intent = client.submit("test.a.v1", {"n": 1}, idempotency_key="i")
    assert client.get(client.rerun(intent.id).id).payload == {"n": 1}


def test_rerun_of_a_workflow_built_in_python_has_its_payloads(client, thumbnail):
    first = client.submit(Workflow("test.built.v1").add("thumb", Args(content_id="c_9")))
    again = client.rerun(first.id)
    plan = client.dry_run(Workflow("test.built.v1").add("thumb", Args(content_id="c_9")))
    assert plan["steps"]["thumb"]["with"] == {"content_id": "c_9", "width": 10}
    assert again.created


def test_labels_belong_to_runs(client):
    with pytest.raises(InvalidInput, match="intents have no labels"):
        client.submit("test.a.v1", labels={"a": "b"})


def test_shell_steps_that_no_live_worker_runs_are_told_of_though_they_were_offered_once(
    client, hand, tmp_path
):
    hand.offer("trib.shell.v1")
    path = tmp_path / "shell.yaml"
    path.write_text("steps: {a: {run: 'true'}}")
    (warning,) = client.submit(path).warnings
    assert warning == "no worker runs shell steps yet; it waits for one with --enable-shell"
    assert client.rerun("@latest").warnings == (warning,)
    assert client.submit(path, idempotency_key="k").warnings == (warning,)
    assert client.submit(path, idempotency_key="k").warnings == (), "nothing was stored"
    hand.sql(
        "select tributary.register_worker('w', 'box', 1, '0', 1, '{default}', '{trib.shell.v1}', 1, '[]')"
    )
    assert client.submit(path).warnings == ()
    assert client.rerun("@latest").warnings == ()


def test_what_undoes_and_what_gathers_is_looked_for_as_well(client, thumbnail, tmp_path):
    path = tmp_path / "beside.yaml"
    path.write_text(
        "name: beside.v1\nsteps:\n"
        "  a: {task: other.v1, undo: {task: test.thumbnial.v1}}\n"
        "  b: {for_each: [1], task: other.v1, aggregate: {task: test.sum.v1}}\n"
    )
    told = client.submit(str(path)).warnings
    assert [warning.split("'")[1] for warning in told] == ["other.v1", "test.thumbnial.v1", "test.sum.v1"]
    assert "did you mean 'test.thumbnail.v1'?" in told[1]
    with pytest.raises(InvalidInput, match=r"test\.thumbnial\.v1"):
        client.submit(str(path), strict=True)

"""What users store is nowhere in the database in plain text; those who have the key see no difference."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import psycopg

from tributary_daemon import Workflow, app
from tributary_daemon import config as configuration

from .conftest import OLD

HERE = Path(__file__).parent
WORD = "Xylophone7Q"


def test_an_intent_is_sealed_from_its_submit_to_its_result(keyed, blind, dump, crypt_worker):
    crypt_worker(OLD)
    receipt = keyed.submit("crypt.echo.v1", {"word": WORD})
    document = receipt.wait(20)
    assert (document.payload, document.result) == ({"word": WORD}, {"word": WORD})
    assert dump.holding(WORD) == {}
    seen = blind.get(receipt.id)
    assert (seen.state, seen.payload, seen.result) == ("completed", "<encrypted>", "<encrypted>")


def test_all_that_a_workflow_stores_is_sealed(keyed, blind, dump, crypt_worker, eventually):
    crypt_worker(OLD)
    keyed.register(HERE / "child.yaml")
    run = keyed.submit(HERE / "everything.yaml", {"word": WORD})

    def state(step):
        return keyed.get(run.id).steps[step].state

    eventually(lambda: state("signal") == "waiting", 30, "the wait begins")
    waits = keyed.get(run.id).steps["signal"].wait
    assert waits["payload"] == {"word": WORD}
    assert blind.get(run.id).steps["signal"].wait["payload"] == "<encrypted>"
    keyed.signal(run.id, "go", {"word": "another", "more": WORD})
    assert state("signal") == "waiting"
    keyed.signal(run.id, "go", {"word": WORD, "more": [WORD]})
    eventually(lambda: state("asked") == "waiting", 30, "it asks")
    assert keyed.get(run.id).steps["asked"].wait["prompt"] == f"let {WORD} pass?"
    assert dump.holding(WORD) == {}
    keyed.approve(run.id, "asked", {"why": f"because of {WORD}"})
    document = run.wait(30)
    assert document.state == "completed", document.to_json()
    assert document.result["first"] == {
        "word": WORD,
        "inputs": {"word": WORD, "list": [1, 2]},
        "progress": {"word": WORD},
    }
    assert [item["item"] for item in document.result["each"]] == [WORD, WORD]
    assert document.result["sum"]["all"] == [WORD, WORD]
    assert document.result["child"] == {"below": {"word": WORD}, "beside": {"deepest": {"word": WORD}}}
    assert document.result["exact"] == {"word": f"because of {WORD}"}
    assert document.steps["again"].reason == "cached"
    assert document.result["again"] == {"word": WORD}
    assert document.steps["kept_again"].reason == "cached"
    assert document.result["kept"] == document.result["child"]
    assert document.steps["tolerated"].error.message == f"never, {WORD}"
    assert document.steps["alone"].result == {"word": WORD}
    assert keyed.items(run.id, "each")[0].item == WORD
    assert any(WORD in str(line.fields) for line in keyed.logs(run.id))
    assert dump.holding(WORD) == {}
    shown = blind.get(run.id)
    assert shown.inputs == shown.result == "<encrypted>"
    assert shown.steps["tolerated"].error.message == "<encrypted>"
    assert WORD not in str(shown.to_json())
    assert [(item.item, item.index) for item in blind.items(run.id, "each")] == [
        ("<encrypted>", n) for n in (0, 1)
    ]
    assert {line.text for line in blind.logs(run.id)} == {"<encrypted>"}
    assert blind.why(run.id, "skipped").reasons[0].code == "condition"
    assert WORD not in str([event.to_json() for event in blind.events(run.id).items])


def test_workflow_functions_are_sealed_with_what_they_register_and_say(
    keyed, blind, dump, crypt_worker, eventually
):
    crypt_worker(OLD)
    run = keyed.submit("crypt.flow.v1", {"word": WORD})
    eventually(lambda: "waiting" in [s.state for s in keyed.get(run.id).steps.values()], 30, "it waits")
    eventually(lambda: len(keyed.get(run.id).steps) == 4, 30, "it waits for the signal")
    assert keyed.get(run.id).steps["main"].progress == f"at {WORD}"
    assert dump.holding(WORD) == {}
    keyed.signal(run.id, "go", {"word": WORD})
    document = run.wait(30)
    assert document.result == {
        "first": {"word": WORD}, "done": f"paid {WORD}", "child": {"leaf": WORD}, "sent": {"word": WORD},
    }  # fmt: skip
    ended = keyed.submit("crypt.anew.v1", {"word": WORD}).wait(30)
    assert (ended.state, ended.error.message) == ("failed", f"no more, {WORD}!")
    (undone,) = [step for name, step in ended.steps.items() if name.startswith("undo:")]
    assert (undone.state, undone.result) == ("completed", {"undone": f"{WORD}!"})
    assert dump.holding(WORD) == {}
    assert WORD not in str(blind.get(ended.id).to_json())


def test_every_way_to_submit_seals(keyed, connect, blind, dump, database, crypt_worker, eventually):
    crypt_worker(OLD)
    given = {"word": WORD}
    with psycopg.connect(database) as mine:
        works = [
            keyed.submit("crypt.echo.v1", given, connection=mine).id,
            *keyed.submit_many("crypt.echo.v1", [given, {**given, "more": "x" * 200}], connection=mine),
        ]
    key = keyed.submit("crypt.echo.v1", given, idempotency_key="k1")
    assert keyed.submit("crypt.echo.v1", given, idempotency_key="k1").id == key.id
    run = keyed.submit(
        "crypt.child.v1" if keyed.register(HERE / "child.yaml") else "", given, idempotency_key="k2"
    )
    assert not keyed.submit("crypt.child.v1", given, idempotency_key="k2").created
    built = keyed.submit(Workflow("crypt.built.v1").add("one", "crypt.echo.v1", given))
    same = {"by": "payload", "period": "1h"}
    once = keyed.submit("crypt.echo.v1", given, unique=same)
    assert keyed.submit("crypt.echo.v1", given, unique=same).id == once.id
    assert keyed.submit("crypt.echo.v1", {"word": f"other {WORD}"}, unique=same).id != once.id
    later = {"key": "later", "on_conflict": "replace"}
    waits = keyed.submit("crypt.echo.v1", {"word": "old"}, unique=later, run_after="1h")
    assert keyed.submit("crypt.echo.v1", given, unique=later, run_after=0.0).id == waits.id
    changed = keyed.submit("crypt.echo.v1", {"word": "old"}, run_after="1h")
    keyed.change(changed.id, payload=given, run_after=0)
    keyed.schedule("often", "0 3 * * *", "crypt.child.v1", given)
    keyed.schedule("rarely", "0 4 * * *", "crypt.echo.v1", given)
    assert (keyed.schedules()[0].payload, blind.schedules()[0].payload) == (given, "<encrypted>")
    fired = [keyed.trigger_schedule("often"), keyed.trigger_schedule("rarely")]
    for work in (*works, key.id, once.id, waits.id, changed.id, fired[1]):
        document = keyed.wait(work, 30)
        assert document.result["word"] == WORD, document.to_json()
    for work in (run.id, built.id, fired[0], keyed.rerun(run.id).id, keyed.rerun(built.id).id):
        document = keyed.wait(work, 30)
        assert document.state == "completed"
        assert WORD in str(document.result), document.to_json()
    assert dump.holding(WORD) == {}


def test_async_clients_seal_too(database, dump, crypt_worker):
    crypt_worker(OLD)

    async def use():
        config = dataclasses.replace(configuration.load({}, environ={}), encryption_keys=(OLD,))
        async with app.AsyncClient(database, config=config) as client:
            receipt = await client.submit("crypt.echo.v1", {"word": WORD})
            ids = await client.submit_many("crypt.echo.v1", [{"word": WORD}])
            return [(await client.wait(work, 20)).result for work in (receipt.id, *ids)]

    assert asyncio.run(use()) == [{"word": WORD}] * 2
    assert dump.holding(WORD) == {}


def test_what_is_undone_is_given_what_was_done(keyed, dump, crypt_worker):
    crypt_worker(OLD)
    document = keyed.submit(HERE / "undone.yaml", {"word": WORD}).wait(30)
    assert (document.state, document.error.message) == ("failed", f"never, {WORD}")
    assert document.steps["undo:each[a]"].result == {"back": f"a {WORD}", "was": {"word": f"a {WORD}"}}
    assert document.steps["undo:one"].result == {"back": {"word": WORD}}
    assert document.steps["told"].result["word"] == f"never, {WORD}"
    assert dump.holding(WORD) == {}


def test_the_commands_show_words_in_the_place_of_values(keyed, trib, crypt_worker):
    crypt_worker(OLD)
    run = keyed.submit(HERE / "undone.yaml", {"word": WORD}).wait(30)
    for command in (
        ("status", run.id), ("status", run.id, "--items", "each"), ("why", run.id), ("events", run.id),
        ("dlq", "list"), ("dlq", "show", f"{run.id}/bad"), ("logs", run.id), ("list",),
        ("graph", run.id), ("status", run.id, "-o", "json"),
    ):  # fmt: skip
        said = trib(*command)
        assert said.returncode == 0, (command, said.stderr)
        assert WORD not in said.stdout
    assert "<encrypted>" in trib("status", run.id).stdout
    with_key = trib("status", run.id, env={"TRIB_ENCRYPTION_KEYS": OLD})
    assert WORD in with_key.stdout


def test_a_refused_approval_tells_its_reason_to_those_with_the_key(
    keyed, blind, dump, crypt_worker, eventually
):
    crypt_worker(OLD)
    run = keyed.submit(HERE / "asks.yaml", {"word": WORD})
    eventually(lambda: keyed.get(run.id).steps["asked"].state == "waiting", 20, "it asks")
    keyed.reject(run.id, "asked", f"not with {WORD}", sender="ann")
    assert run.wait(20).steps["asked"].error.message == f"rejected by ann: not with {WORD}"
    assert blind.get(run.id).steps["asked"].error.message == "rejected by ann: <encrypted>"
    assert dump.holding(WORD) == {}

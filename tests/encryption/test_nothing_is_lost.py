"""A key that is missing, a value that was moved or changed: told, and nothing is lost."""

from __future__ import annotations

import json

import pytest

from tributary_daemon.errors import ConfigError, KeyMissing

from .conftest import NEW, OLD

WORD = "Xylophone7Q"


def test_a_worker_without_the_key_gives_the_step_back_and_says_why(
    keyed, blind, dump, crypt_worker, eventually
):
    first = crypt_worker(NEW)
    receipt = keyed.submit("crypt.echo.v1", {"word": WORD}, max_attempts=1)
    eventually(lambda: keyed.get(receipt.id).reason == "no_key", 20, "it is given back")
    document = keyed.get(receipt.id)
    assert (document.state, document.attempt) == ("scheduled", 0)
    (reason,) = keyed.why(receipt.id).reasons
    assert reason.code == "no_key"
    assert "it is tried again" in reason.message
    events = [event for event in keyed.events(receipt.id).items if event.type == "step_snoozed"]
    assert "'old'" in events[0].data["error"]
    first.stop()
    ask = "update tributary.steps set run_at = now() + interval '29 s' where run_id = %s returning run_at"
    (put_off,) = dump.sql.execute(ask, [receipt.id]).fetchone()
    crypt_worker(OLD, NEW)
    assert receipt.wait(60).result == {"word": WORD}
    (run_at,) = dump.sql.execute(
        "select run_at from tributary.steps where run_id = %s", [receipt.id]
    ).fetchone()
    (came,) = dump.sql.execute("select max(started_at) from tributary.workers").fetchone()
    assert run_at < put_off or came > put_off, "a worker that has the key does not wait"


def test_a_worker_without_any_key_gives_it_back_too(keyed, blind, dump, crypt_worker, eventually):
    crypt_worker()
    receipt = keyed.submit("crypt.echo.v1", {"word": WORD})
    eventually(lambda: keyed.get(receipt.id).reason == "no_key", 20, "it is given back")
    plain = blind.submit("crypt.echo.v1", {"word": "plain"}).wait(20)
    assert plain.result == {"word": "plain"}, "what is not encrypted goes on beside it"


def test_plain_work_and_encrypted_work_live_side_by_side(keyed, blind, dump, crypt_worker):
    plain = blind.submit("crypt.echo.v1", {"word": WORD})
    row = dump.sql.execute(
        "insert into tributary.workflow_intent (name, payload) values ('crypt.echo.v1', %s)"
        " returning intent_id",
        [json.dumps({"word": WORD})],
    ).fetchone()
    crypt_worker(OLD)
    for work in (plain.id, str(row[0])):
        document = keyed.wait(work, 20)
        assert (document.payload, document.result) == ({"word": WORD}, {"word": WORD})
        assert blind.get(work).result == "<encrypted>", "what the worker writes is encrypted"


SWAPS = {
    "between two intents": "update tributary.payloads a set payload = b.payload from tributary.payloads b"
    " where a.run_id = %(one)s and b.run_id = %(two)s",
    "between the fields of one": "update tributary.steps set result = (select payload from tributary.payloads"
    " where run_id = %(one)s) where run_id = %(two)s",
    "to another tenant": "update tributary.steps set tenant_id = 'other' where run_id = %(one)s",
    "from another tenant's": "update tributary.payloads a set payload = b.payload from tributary.payloads b"
    " where a.run_id = %(one)s and b.run_id = %(three)s",
}


@pytest.mark.parametrize("how", [how for how in SWAPS if "fields" not in how])
def test_a_payload_that_was_moved_is_refused(how, keyed, connect, dump, crypt_worker):
    crypt_worker().stop()
    one, two = (keyed.submit("crypt.echo.v1", {"word": word}, run_after="1h") for word in "ab")
    three = connect(OLD, tenant="acme").submit("crypt.echo.v1", {"word": "c"}, run_after="1h")
    dump.sql.execute(SWAPS[how], {"one": one.id, "two": two.id, "three": three.id})
    crypt_worker(OLD)
    keyed.change(one.id, run_after=0)
    document = keyed.wait(one.id, 20)
    assert (document.state, document.reason) == ("discarded", "not_authentic")
    assert "another place" in document.error.message
    if "to" not in how:
        assert document.payload == "<not authentic>"


def test_a_value_that_was_changed_is_refused_and_runs_once_it_is_mended(keyed, dump, crypt_worker):
    crypt_worker().stop()
    receipt = keyed.submit("crypt.echo.v1", {"word": WORD}, run_after="1h")
    (stored,) = dump.sql.execute(
        "select payload from tributary.payloads where run_id = %s", [receipt.id]
    ).fetchone()
    broken = {"$sealed": stored["$sealed"][:-6] + "AAAAAA"}
    change = "update tributary.payloads set payload = %s where run_id = %s"
    dump.sql.execute(change, [json.dumps(broken), receipt.id])
    crypt_worker(OLD)
    keyed.change(receipt.id, run_after=0)
    document = receipt.wait(20)
    assert (document.state, document.reason) == ("discarded", "not_authentic")
    dump.sql.execute(change, [json.dumps(stored), receipt.id])
    keyed.retry(receipt.id)
    assert receipt.wait(20).result == {"word": WORD}


def test_what_is_shown_is_checked_too(keyed, dump, crypt_worker):
    crypt_worker(OLD)
    one, two = (keyed.submit("crypt.echo.v1", {"word": word}).wait(20).id for word in "ab")
    moves = "update tributary.steps a set result = b.result from tributary.steps b"
    dump.sql.execute(f"{moves} where a.run_id = %s and b.run_id = %s", [one, two])
    assert keyed.get(one).result == "<not authentic>"
    dump.sql.execute(
        "update tributary.steps set result = coalesce(payload, (select p.payload from tributary.payloads p"
        " where p.run_id = %s)) where run_id = %s",
        [two, two],
    )
    assert keyed.get(two).result == "<not authentic>", "a payload is no result"


def test_nothing_that_cannot_be_read_is_submitted_again(keyed, blind, dump):
    receipt = keyed.submit("crypt.echo.v1", {"word": WORD})
    with pytest.raises(KeyMissing, match="'old'"):
        blind.rerun(receipt.id)
    assert keyed.get(keyed.rerun(receipt.id).id).payload == {"word": WORD}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (("old",), "cannot be read"),
        (("old:AAAA",), "3 bytes instead of 32"),
        (("old:%%%%",), "not base64"),
        ((OLD, f"old:{NEW.partition(':')[2]}"), "two encryption keys"),
    ],
)
def test_keys_that_are_none_are_refused_without_a_word_of_them(keys, said, connect):
    with pytest.raises(ConfigError, match=said) as caught:
        connect(*keys)
    assert NEW.partition(":")[2] not in str(caught.value)

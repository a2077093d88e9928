"""`trib keys rotate`: workers go on meanwhile, and in the end the old key may go."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tributary_daemon.sealing import sources

from .conftest import NEW, OLD

HERE = Path(__file__).parent
WORD = "Xylophone7Q"
TOKEN = "2.old."


def test_everything_is_encrypted_anew_and_the_old_key_may_go(connect, dump, trib, crypt_worker, eventually):
    old = connect(OLD)
    first = crypt_worker(OLD)
    old.register(HERE / "child.yaml")
    run = old.submit(HERE / "everything.yaml", {"word": WORD})
    flow = old.submit("crypt.flow.v1", {"word": WORD})
    intent = old.submit("crypt.echo.v1", {"word": WORD})
    dead = old.submit("crypt.fails.v1", {"word": WORD})
    later = old.submit("crypt.echo.v1", {"word": WORD}, run_after="1h")
    old.schedule("nightly", "0 3 * * *", "crypt.echo.v1", {"word": WORD})
    for work in (intent, dead):
        work.wait(20)
    for waiting, step in ((run, "signal"), (flow, "crypt_flow_v1")):
        eventually(lambda w=waiting: "waiting" in [s.state for s in old.get(w.id).steps.values()], 20, step)
    eventually(lambda: old.get(run.id).steps["signal"].state == "waiting", 20, "it waits")
    first.stop()
    assert set(dump.holding(TOKEN)) >= {
        "steps", "payloads", "attempts", "dead_letters", "progress", "history", "event_log", "waits",
        "log_chunks", "schedules", "step_cache",
    }  # fmt: skip
    crypt_worker(NEW, OLD)
    env = {"TRIB_ENCRYPTION_KEYS": f"{NEW},{OLD}"}
    counted = json.loads(trib("keys", "rotate", "--dry-run", "-o", "json", env=env).stdout)
    assert counted["resealed"] > 0
    assert not counted["done"]
    done = trib("keys", "rotate", env=env)
    assert done.returncode == 0, done.stderr
    assert "nothing of another key is left" in done.stdout
    assert dump.holding(TOKEN) == {}
    new = connect(NEW)
    assert new.get(intent.id).result == {"word": WORD}
    assert new.get(dead.id).error.message == f"never, {WORD}"
    assert new.get(run.id).steps["signal"].wait["payload"] == {"word": WORD}
    new.signal(run.id, "go", {"word": WORD})
    eventually(
        lambda: new.get(run.id).steps["asked"].state == "waiting",
        20,
        "the signal was known by its new hashes",
    )
    new.cancel(run.id)
    new.change(later.id, run_after=0)
    assert later.wait(20).state == "completed"
    again = json.loads(trib("keys", "rotate", "-o", "json", env={"TRIB_ENCRYPTION_KEYS": NEW}).stdout)
    assert (again["resealed"], again["missing"], again["done"]) == (0, {}, True)


def test_workers_go_on_while_keys_are_rotated(connect, dump, trib, crypt_worker):
    old, both = connect(OLD), connect(NEW, OLD)
    ids = old.submit_many("crypt.echo.v1", [{"word": f"{WORD} {number}"} for number in range(600)])
    crypt_worker(NEW, OLD)
    done = both.rotate_keys()
    assert (done.done, dict(done.missing), done.broken) == (True, {}, 0)
    new = connect(NEW)
    for number, work in enumerate(ids):
        document = new.wait(work, 30)
        assert (document.state, document.result) == ("completed", {"word": f"{WORD} {number}"})
    assert both.rotate_keys().done
    assert dump.holding(TOKEN) == {}


def _of_version_1(text, run):
    """Return a payload as the version before has sealed it."""
    place = base64.b64encode(b"p" + uuid.UUID(run).bytes + b"\0\0" + b"0").decode()
    head, nonce = f"1.old.{place}", bytes(range(12))
    secret = sources.read_key(OLD).secret
    derived = hashlib.blake2b(run.encode(), key=secret, digest_size=32, person=b"tributary value").digest()
    data = nonce + AESGCM(derived).encrypt(nonce, text.encode(), head.encode())
    return json.dumps({"$sealed": f"{head}.{base64.b64encode(data).decode()}"})


def test_values_of_the_version_before_are_read_and_rotated(connect, dump, crypt_worker):
    old, text = connect(OLD), json.dumps({"word": WORD})
    crypt_worker(OLD)
    read, kept = [old.submit("crypt.echo.v1", {"word": "-"}, run_after="1h") for _ in range(2)]
    for work in (read, kept):
        dump.sql.execute(
            "update tributary.payloads set payload = %s where run_id = %s",
            [_of_version_1(text, work.id), work.id],
        )
    assert dump.holding("1.old.").keys() == {"payloads"}
    old.change(read.id, run_after=0)
    assert read.wait(20).result == {"word": WORD}
    assert connect(NEW, OLD).rotate_keys().done
    assert dump.holding("1.old.") == {}
    assert connect(NEW).get(kept.id).payload == {"word": WORD}


def test_values_of_a_key_that_is_not_here_are_told(connect, trib, crypt_worker):
    connect(OLD).submit("crypt.echo.v1", {"word": WORD})
    done = trib("keys", "rotate", "-o", "json", env={"TRIB_ENCRYPTION_KEYS": NEW})
    assert done.returncode == 8
    assert json.loads(done.stdout)["missing"] == {"old": 1}


def test_keys_are_made_and_listed(trib):
    made = trib("keys", "generate", "k1").stdout.strip()
    own = trib("keys", "generate", "k2", "--for", "acme").stdout.strip()
    listed = json.loads(
        trib("keys", "list", "-o", "json", env={"TRIB_ENCRYPTION_KEYS": f"{made},{own}"}).stdout
    )
    assert [(row["id"], row["tenant"], row["encrypts"]) for row in listed] == [
        ("k1", None, True),
        ("k2", "acme", True),
    ]
    assert made.partition(":")[2] not in json.dumps(listed)
    shown = trib("config", "show", env={"TRIB_ENCRYPTION_KEYS": made}).stdout
    assert "k1:***" in shown
    assert made.partition(":")[2] not in shown
    assert "plain text" in trib("keys", "list").stdout
    none = trib("keys", "rotate")
    assert none.returncode == 2
    assert "no encryption keys" in none.stderr

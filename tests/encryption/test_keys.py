"""Where keys come from, what a token binds, and which key is whose; without a database."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tributary_daemon import config as configuration
from tributary_daemon.errors import ConfigError, KeyMissing, NotAuthentic
from tributary_daemon.sealing import envelope, sources
from tributary_daemon.sealing.anew import Anew
from tributary_daemon.sealing.box import Box, loads, opened, origins, shown
from tributary_daemon.sealing.envelope import Field, Origin, head_of, split

ONE, TWO = sources.generate("one", None), sources.generate("two", None)
ACME = sources.generate("acme-1", "acme")
RUN = "01a21b23-d3da-79c2-b8fd-1436effd8660"
SALT = "Ab3-_" * 3 + "x"
HERE = Origin("acme", RUN, "0", Field.PAYLOAD)
ANYWHERE = lambda _origin, _path: True  # noqa: E731 - short where it is used


def ring(*keys):
    return sources.ring(keys)


def token(sealed):
    return json.loads(sealed)["$sealed"]


@given(st.text(max_size=20), st.uuids(), st.text(max_size=20), st.sampled_from(list(Field)))
def test_a_place_comes_back_as_it_was(tenant, run, step, field):
    origin = Origin(tenant, str(run), step, field)
    head = head_of("one", SALT, origin)
    assert split(f"{head}.AAAA") == ("one", SALT, origin, head, "AAAA")
    assert envelope.TEXT_TOKEN.fullmatch(f"$sealed{{{head}.AAAA}}")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_what_was_sealed_is_opened(value):
    sealed = ring(ONE).seal(json.dumps(value), HERE)
    assert opened(loads(sealed), ring(TWO, ONE), lambda origin, _path: origin == HERE) == value
    assert ring(ONE).open_at(token(sealed), HERE) == json.dumps(value)


def data(text):
    try:
        return envelope.decode(text.rpartition(".")[2])
    except ValueError:
        return None


def test_equal_values_look_different_and_each_part_of_a_token_counts():
    first, second = ring(ONE).seal('"x"', HERE), ring(ONE).seal('"x"', HERE)
    assert first != second
    text = token(first)
    for place in range(len(text)):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        if changed.rpartition(".")[0] == text.rpartition(".")[0] and data(changed) == data(text):
            # the last character of base64 may have bits that mean nothing
            continue
        with pytest.raises((NotAuthentic, KeyMissing)):
            ring(ONE).open(changed)
        assert ring(ONE).open_at(changed, HERE) is None


@pytest.mark.parametrize(
    "there",
    [
        HERE._replace(tenant="other"),
        HERE._replace(run=RUN.replace("0", "1")),
        HERE._replace(step="1"),
        HERE._replace(field=Field.RESULT),
        Origin("acm", RUN, "e0", Field.PAYLOAD),
    ],
)
def test_a_token_fits_its_place_alone(there):
    sealed = ring(ONE).seal('"x"', HERE)
    assert ring(ONE).open_at(token(sealed), there) is None
    _, _, salt, *_, data = token(sealed).split(".")
    moved = f"{head_of('one', salt, there)}.{data}"
    with pytest.raises(NotAuthentic):
        ring(ONE).open(moved)
    assert ring(ONE).open_at(moved, there) is None


BEFORE = f"old:{base64.b64encode(bytes(range(32))).decode()}"
OF_A_STEP = Origin("acme", RUN, "0", Field.PAYLOAD)


def test_the_version_before_is_read():
    # written by the code of that version
    value = "1.old.cAGiGyPT2nnCuP0UNu/9hmAABGFjbWUw.niKcy10GL9fjB3oCXN9v7j4tvcAoijHmPfOmXqj0uyDtSBF5"
    text = "1.old.ZQGiGyPT2nnCuP0UNu/9hmAAAGZldGNoW8OpXQ==.0VnlRmiGtKOSVWzDP0KQPDhtY0Ds2OgKarm7ow84jQ=="
    keys = ring(ONE, BEFORE)
    assert keys.open(value) == ('{"a": 1}', OF_A_STEP)
    assert keys.open(text) == ("boo", Origin("", RUN, "fetch[\u00e9]", Field.ERROR))
    assert keys.open_at(value, OF_A_STEP) == '{"a": 1}'
    assert keys.open_at(value, OF_A_STEP._replace(step="1")) is None
    assert ring(ONE).open_at(value, OF_A_STEP) is None
    changed = value.replace("niKc", "AAAA")
    assert keys.open_at(changed, OF_A_STEP) is None
    with pytest.raises(NotAuthentic):
        keys.open(changed)
    # neither is read as the other
    for other in (
        value.replace("1.", "2.", 1),
        token(ring(BEFORE).seal("1", OF_A_STEP)).replace("2.", "1.", 1),
    ):
        assert keys.open_at(other, OF_A_STEP) is None
        with pytest.raises(NotAuthentic):
            keys.open(other)


def test_a_version_to_come_is_no_forgery():
    newer = token(ring(ONE).seal("1", HERE)).replace("2.", "3.", 1)
    with pytest.raises(KeyMissing, match="version 3"):
        ring(ONE).open(newer)
    assert ring(ONE).open_at(newer, HERE) is None
    assert shown(Box({"$sealed": newer}), ring(ONE), ANYWHERE) == "<encrypted>"
    assert origins(Box({"$sealed": newer})) == set()
    anew = Anew(ring(TWO, ONE))
    assert anew.value({"$sealed": newer}) == {"$sealed": newer}
    assert (anew.missing, anew.broken, anew.changed) == ({"one": 1}, 0, 0)


@given(st.text(alphabet="12.=abpAZ-0/+", max_size=30) | st.from_regex(envelope._HEAD, fullmatch=True))
def test_whatever_looks_like_a_token_is_taken_apart_or_refused(text):
    try:
        parts = split(f"{text}.AAAA")
    except (NotAuthentic, KeyMissing):
        return
    assert parts.head == text
    assert len(parts.origin.run) == 36


def test_a_tenants_own_key_is_used_for_it_alone():
    keys = ring(ONE, ACME)
    assert token(keys.seal("1", HERE)).startswith("2.acme-1.")
    assert token(keys.seal("1", HERE._replace(tenant="beta"))).startswith("2.one.")
    assert ring(ACME).seal("1", HERE._replace(tenant="beta")) == "1", "no key is for it"
    forged = ring(ACME.partition("/")[2]).seal("1", HERE._replace(tenant="beta"))
    with pytest.raises(NotAuthentic):
        keys.open(token(forged))


def test_who_has_not_the_key_sees_a_word_in_its_place():
    value = Box(json.loads(f'{{"a": {ring(ONE).seal("1", HERE)}, "b": 2}}'))
    assert shown(value, None, ANYWHERE) == {"a": "<encrypted>", "b": 2}
    assert shown(value, ring(TWO), ANYWHERE) == {"a": "<encrypted>", "b": 2}
    assert shown(value, ring(ONE), lambda _origin, _path: False) == {"a": "<not authentic>", "b": 2}
    text = Box(f"it said {ring(ONE).seal_text('boo', HERE)}!")
    assert shown(text, ring(ONE), ANYWHERE) == "it said boo!"
    assert shown(text, None, ANYWHERE) == "it said <encrypted>!"
    with pytest.raises(KeyMissing, match="'one'"):
        opened(value, None, ANYWHERE)


def test_hashes_of_a_payload_are_contained_as_the_payload_is():
    keys = ring(TWO, ONE)
    sent = keys.facts({"a": 1.0, "b": {"c": [1, {"d": 2}]}, "e": "x"}, "", RUN, all_keys=True)["$facts"]

    def fits(wanted, of=None):
        return (of or keys).facts(wanted, "", RUN, all_keys=False)["$facts"].items() <= sent.items()

    assert fits({"a": 1}) and fits({"b": {"c": [1]}}) and fits({}) and fits({"e": "x", "a": 1})  # noqa: PT018
    assert fits({"a": 1}, ring(ONE)), "a wait that began with the old key"
    assert not fits({"a": 2}) and not fits({"b": {"c": [3]}}) and not fits({"f": None})  # noqa: PT018


def settings(tmp_path, **environ):
    return configuration.load({}, environ={"HOME": str(tmp_path), **environ}, cwd=tmp_path)


def test_keys_come_from_the_environment_a_file_a_credential_and_a_function(tmp_path, monkeypatch):
    ids = lambda config: [key.id for key in sources.ring_of(config).keys]  # noqa: E731
    assert sources.ring_of(settings(tmp_path)) is None
    assert ids(settings(tmp_path, TRIB_ENCRYPTION_KEYS=f"{ONE},{TWO}")) == ["one", "two"]
    file = tmp_path / "keys"
    file.write_text(f"# newest first\n{TWO}\n\n{ONE}\n")
    assert ids(settings(tmp_path, TRIB_ENCRYPTION_KEYS_FILE=str(file))) == ["two", "one"]
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "encryption_keys").write_text(f"{ONE}\n{ACME}\n")
    given = settings(tmp_path, CREDENTIALS_DIRECTORY=str(credentials))
    assert ids(given) == ["one", "acme-1"]
    assert given.source("encryption_keys") == "credential encryption_keys"
    (tmp_path / "trib.toml").write_text(f'encryption_keys = ["{TWO}"]\n')
    assert ids(settings(tmp_path)) == ["two"]
    (tmp_path / "our_kms.py").write_text(f"def keys():\n    return [{ONE!r}]\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert ids(settings(tmp_path, TRIB_ENCRYPTION_KMS="our_kms:keys")) == ["two", "one"]


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"TRIB_ENCRYPTION_KMS": "no.such.module:keys"}, "there is no no.such.module:keys"),
        ({"TRIB_ENCRYPTION_KMS": "json:loads"}, "json:loads failed"),
        ({"TRIB_ENCRYPTION_KMS": "json"}, "names no function"),
        ({"TRIB_ENCRYPTION_KEYS_FILE": "/nowhere/keys"}, "cannot read the encryption keys"),
        ({"TRIB_ENCRYPTION_KEYS": "k:" + base64.b64encode(b"short").decode()}, "5 bytes instead of 32"),
        ({"TRIB_ENCRYPTION_KEYS": "k e y"}, "cannot be read"),
    ],
)
def test_what_gives_no_keys_is_told(environ, said, tmp_path):
    with pytest.raises(ConfigError, match=said):
        sources.ring_of(settings(tmp_path, **environ))


def test_an_empty_file_of_keys_turns_nothing_off(tmp_path):
    file = tmp_path / "keys"
    file.write_text("# all gone\n")
    with pytest.raises(ConfigError, match="no key"):
        sources.ring_of(settings(tmp_path, TRIB_ENCRYPTION_KEYS_FILE=str(file)))


@pytest.mark.parametrize(("key_id", "tenant"), [("a b", None), ("", None), ("x" * 33, None), ("a", "b/c")])
def test_ids_that_no_key_has_are_refused(key_id, tenant):
    with pytest.raises(ConfigError):
        sources.generate(key_id, tenant)

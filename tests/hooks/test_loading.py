"""Hooks as a configuration names them."""

from __future__ import annotations

import copy
import pickle
from importlib import metadata

import pytest

from tributary_daemon import Hook, config
from tributary_daemon.errors import ConfigError
from tributary_daemon.handlers.hooks import Host, is_for
from tributary_daemon.hooks.loading import SHIPPED, loaded, make
from tributary_daemon.hooks.validation import Validation


class Own(Hook):
    def __init__(self, *, size, colour="red"):
        self.size, self.colour = size, colour


class Broken(Hook):
    def __init__(self):
        raise ZeroDivisionError("no")


def refusal(**entry):
    with pytest.raises(ConfigError) as refused:
        make([entry])
    return str(refused.value)


def test_a_class_is_named_by_its_module_and_gets_the_other_keys():
    (hook,) = make([{"use": f"{__name__}:Own", "size": 3, "names": ["billing.%", "shop.pay.v_"]}])
    assert (type(hook).__name__, hook.size, hook.colour) == ("Own", 3, "red")
    assert [name for name in ("billing.x.v1", "shop.pay.v2", "shop.pay.v10") if is_for(hook, name)] == [
        "billing.x.v1",
        "shop.pay.v2",
    ]


def test_a_class_in_a_file_is_named_by_its_path(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from tributary_daemon import Hook\nclass Mine(Hook):\n    pass\n")
    (hook,) = make([{"use": f"{path}:Mine"}])
    assert type(hook).__name__ == "Mine"


def test_installed_packages_give_hooks_a_short_name(monkeypatch):
    point = metadata.EntryPoint("own", f"{__name__}:Own", "tributary.hooks")
    monkeypatch.setattr(metadata, "entry_points", lambda group: [point] if group == point.group else [])
    (hook,) = make([{"use": "own", "size": 1}])
    assert type(hook).__name__ == "Own"
    assert "own" in refusal(use="onw")


def test_every_shipped_hook_is_there():
    for place in SHIPPED.values():
        module, _, name = place.partition(":")
        assert issubclass(getattr(__import__(module, fromlist=[name]), name), Hook)


def test_objects_are_taken_as_they_are():
    own = Own(size=1)
    assert make([own]) == [own]
    assert loaded([]) is None


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"use": "validaton"}, ["hook 1 (validaton): there is no hook", "did you mean 'validation'?"]),
        ({"use": f"{__name__}:Own"}, ["option 'size' is missing", "it has: size, colour"]),
        ({"use": f"{__name__}:Own", "size": 1, "color": "b"}, ["unknown option 'color'", "mean 'colour'?"]),
        ({"use": f"{__name__}:Nobody"}, ["Nobody in tests.hooks.test_loading is nothing of that name"]),
        ({"use": "json:dumps"}, ["dumps in json is no subclass of Hook"]),
        ({"use": "no_such_module:X"}, ["no_such_module does not import"]),
        ({"use": f"{__name__}:Broken"}, ["cannot be made: ZeroDivisionError: no"]),
        ({"use": "validation"}, ["neither input nor result is given"]),
        ({"use": "validation", "input": {}, "names": 3}, ["names: a list of names"]),
    ],
)  # fmt: skip
def test_mistakes_are_told(entry, words):
    text = refusal(**entry)
    assert [word for word in words if word not in text] == []


def test_something_else_is_no_hook():
    with pytest.raises(ConfigError, match="hook 1 is of type int"):
        make([1])


def test_they_stand_in_trib_toml_in_their_order(tmp_path):
    (tmp_path / "trib.toml").write_text(
        '[[hooks]]\nuse = "validation"\nresult = {type = "string"}\n\n'
        '[[hooks]]\nuse = "a.b:C"\nnames = ["x.%"]\n'
    )
    found = config.load({}, environ={"HOME": str(tmp_path)}, cwd=tmp_path)
    assert [entry["use"] for entry in found.hooks] == ["validation", "a.b:C"]
    assert {name: value for name, value, _ in found.rows()}["hooks"] == "validation,a.b:C"
    named = config.load({}, environ={"HOME": str(tmp_path), "TRIB_HOOKS": "audit, x:Y"}, cwd=tmp_path)
    assert [entry["use"] for entry in named.hooks] == ["audit", "x:Y"]
    (tmp_path / "trib.toml").write_text('[[hooks]]\nname = "validation"\n')
    with pytest.raises(ConfigError, match="hook 1 does not say what to use"):
        config.load({}, environ={"HOME": str(tmp_path)}, cwd=tmp_path)
    (tmp_path / "trib.toml").write_text('[[hooks]]\nuse = "a.b:C"\nsince = 2030-01-01\n')
    with pytest.raises(ConfigError, match=r"hook 1 \(a\.b:C\) holds a date"):
        config.load({}, environ={"HOME": str(tmp_path)}, cwd=tmp_path)


def test_a_hook_of_a_table_travels_to_other_processes():
    (hook,) = make([{"use": "validation", "input": {"type": "object"}, "names": "a.%"}])
    for twin in (copy.copy(hook), pickle.loads(pickle.dumps(hook))):
        assert isinstance(twin, Validation)
        assert (twin.names, twin._payload_faults([])) == (("a.%",), "payload: [] is not of type 'object'")


@pytest.mark.parametrize(
    "table",
    [
        {"use": "audit", "keep": "30d"},
        {"use": "blob", "url": "memory://blobs"},
        {"use": "circuit_breaker", "key": "to"},
        {"use": "rate_limit", "rate": "1/s"},
        {"use": "validation", "result": {}},
    ],
)
def test_shipped_hooks_travel_to_isolated_processes_and_are_opened_there(table):
    (hook,) = make([table])
    twin = pickle.loads(pickle.dumps(hook))
    twin.open(Host(lambda: "postgresql://nowhere", "there", "worker"))
    twin.close()
    assert type(twin) is type(hook)

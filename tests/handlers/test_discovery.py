"""Finding handlers: modules, files, entry points, and those that do not import."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

import pytest

from tributary_daemon.errors import HandlerError
from tributary_daemon.handlers.discovery import discover, module_name_of, names_in_source

HEAD = "from tributary_daemon.handlers.declare import handler\n"


@pytest.fixture(autouse=True)
def clean_imports(monkeypatch):
    """What a test imports is forgotten after it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Return a function that writes a module into the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(name, text, *, head=HEAD):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(head + dedent(text))
        return file

    return write


def find(*imports):
    return discover(imports, entry_points=False)


def test_the_builtins_come_by_their_entry_point():
    # they may have been imported before, with a registry that the test has put aside
    for name in [name for name in sys.modules if name.startswith("tributary_daemon.handlers.builtin")]:
        del sys.modules[name]
    found = discover()
    assert {"trib.noop.v1", "trib.sleep.v1", "trib.fail.v1", "trib.http.v1", "trib.sql.v1"} <= set(
        found.registry.names()
    )
    assert "trib.shell.v1" not in found.registry


def test_modules_of_the_working_directory_and_files(module):
    module("shop_tasks.py", "@handler('shop.sell.v1')\ndef sell(n: int) -> int: return n")
    module("deep/bill_tasks.py", "@handler('shop.bill.v1')\ndef bill(n: int) -> int: return n")
    found = find("shop_tasks", "./deep/bill_tasks.py")
    assert found.failures == ()
    assert found.registry.names() == ("shop.bill.v1", "shop.sell.v1")


def test_a_file_and_its_module_are_one(module):
    module("shop_tasks.py", "@handler('shop.sell.v1')\ndef sell(n: int) -> int: return n")
    found = find("./shop_tasks.py", "shop_tasks")
    assert found.registry.get("shop.sell.v1").declared.__module__ == "shop_tasks"


def test_what_stands_beside_a_file_can_be_imported(module):
    module("lib/helpers_of_it.py", "VALUE = 5", head="")
    module(
        "lib/uses_it.py", "from helpers_of_it import VALUE\n@handler('a.b.v1')\ndef f() -> int: return VALUE"
    )
    assert find("lib/uses_it.py").registry.get("a.b.v1").function() == 5


def test_a_file_named_as_an_installed_module_does_not_take_its_place(module):
    file = module("json.py", "@handler('a.b.v1')\ndef f() -> None: ...")
    found = find("./json.py")
    assert found.registry.names() == ("a.b.v1",)
    name = found.registry.get("a.b.v1").declared.__module__
    assert name == module_name_of(file)
    assert name.startswith("trib_file_json_")


def test_two_files_of_one_stem_are_two_modules(module):
    module("one/tasks_here.py", "@handler('one.x.v1')\ndef f() -> None: ...")
    module("two/tasks_here.py", "@handler('two.x.v1')\ndef f() -> None: ...")
    assert find("one/tasks_here.py", "two/tasks_here.py").registry.names() == ("one.x.v1", "two.x.v1")


def test_every_process_gives_a_file_the_same_name(module):
    file = module("odd-name.py", "@handler('a.b.v1')\ndef f() -> None: ...")
    code = (
        "import sys; from pathlib import Path;"
        "from tributary_daemon.handlers.discovery import module_name_of;"
        "print(module_name_of(Path(sys.argv[1])))"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True
    )
    assert child.stdout.strip() == module_name_of(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import no_such_package_xyz", "ModuleNotFoundError: No module named 'no_such_package_xyz'"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("def broken(:", "SyntaxError"),
        ("@handler('late.one.v1')\ndef g(args): ...", "has no type annotation"),
    ],
)
def test_a_module_that_does_not_import_is_reported_with_its_names(module, text, said):
    module(
        "bad_tasks.py",
        f"@handler('early.one.v1')\ndef f() -> None: ...\n{text}\n"
        "@handler('after.it.v1')\ndef h() -> None: ...",
    )
    module("good_tasks.py", "@handler('good.one.v1')\ndef f() -> None: ...")
    found = find("bad_tasks", "good_tasks")
    assert found.registry.names() == ("good.one.v1",)
    (failure,) = found.failures
    assert failure.module == "bad_tasks"
    assert said in failure.error
    if said != "SyntaxError":
        assert {"early.one.v1", "after.it.v1"} <= set(failure.names)


def test_missing_modules_and_files_are_reported(module):
    module("x.py", "")
    missing = find("nowhere_at_all", "./nowhere.py", "nowhere_at_all.sub").failures
    assert [failure.module for failure in missing] == ["nowhere_at_all", "./nowhere.py", "nowhere_at_all.sub"]
    assert "No module named" in missing[0].error
    assert "there is no file" in missing[1].error


def test_a_handler_whose_types_never_come_is_reported(module):
    module(
        "half_tasks.py",
        """
        from __future__ import annotations
        from tributary_daemon.handlers.declare import handler
        @handler('bad.one.v1')
        def f(args: Nowhere) -> None: ...
        @handler('good.one.v1')
        def g(n: int) -> None: ...
        """,
        head="",
    )
    found = find("half_tasks")
    assert found.registry.names() == ("good.one.v1",)
    (failure,) = found.failures
    assert failure.names == ("bad.one.v1",)
    assert "'Nowhere'" in failure.error


def test_one_name_in_two_modules_is_an_error(module):
    module("one_tasks.py", "@handler('a.b.v1')\ndef f() -> None: ...")
    module("two_tasks.py", "@handler('a.b.v1')\ndef f() -> None: ...")
    with pytest.raises(HandlerError, match=r"one_tasks\.f .*one_tasks\.py:2.* and two_tasks\.f "):
        find("one_tasks", "two_tasks")


def test_names_in_source():
    source = """
        import tributary_daemon as t
        @t.handler("a.b.v1", queue="x")
        async def f(): ...
        class C:
            @handler(name="c.d.v1")
            def m(self): ...
        @other("e.f.v1")
        def g(): ...
        @handler(NAME)
        def h(): ...
    """
    assert set(names_in_source(dedent(source))) == {"a.b.v1", "c.d.v1"}
    assert names_in_source("def (") == ()
    assert names_in_source("\x00") == ()

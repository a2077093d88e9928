"""One PostgreSQL per session, one database per test, and child processes of the installed ``trib``."""

from __future__ import annotations

import fcntl
import gc
import os
import secrets
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from tributary_daemon.daemon import embedded
from tributary_daemon.daemon.embedded_binaries import choose
from tributary_daemon.errors import EmbeddedError
from tributary_daemon.store import db
from tributary_daemon.store.migrations import Migrator

from . import citus, place
from .forgetting import handlers_forgotten
from .nursery import Nursery
from .waiting import wait_until
from .worker_process import WorkerProcess, kill_group, launch

_ROOT = "TRIB_TEST_ROOT"
_PURE = frozenset({"model", "spec", "handlers", "engine", "tools"})
_NEEDS_DATABASE = frozenset(
    {"server", "template", "database", "empty_database", "connection", "trib", "worker"}
)
# a nap is divided among all databases, of which tests have many
_SETTINGS = {
    "fsync": "off", "full_page_writes": "off", "max_connections": "300", "autovacuum_naptime": "1min",
}  # fmt: skip

# a connection of each process that makes databases: one per database made would cost a tenth of it
_ADMINS = {}


def pytest_addoption(parser):
    parser.addoption(
        "--postgres",
        default=os.environ.get("TRIB_TEST_POSTGRES", "embedded"),
        help="embedded (default), system (newest of the system's), testcontainers, citus, or a URL",
    )
    parser.addoption(
        "--shards",
        type=int,
        default=int(os.environ.get("TRIB_TEST_SHARDS", "1")),
        help="number of shards of the databases that tests get",
    )
    parser.addoption(
        "--data",
        metavar="DIRECTORY",
        help="where servers keep data; default: in memory, if it has room",
    )
    parser.addoption("--citus", default=os.environ.get("TRIB_TEST_CITUS_URL"), metavar="URL", help=citus.HELP)


def pytest_configure(config):
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # a shell that started the tests in its background has Ctrl+C ignored, and children would inherit that
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(config, "workerinput"):
        return
    place.sweep()
    os.environ[_ROOT] = str(place.make(config.getoption("--data")))
    # nothing of the developer's own settings reaches a test
    foreign = ("TRIB_", "PG", "CREDENTIALS_DIRECTORY")
    for name in [name for name in os.environ if name.startswith(foreign) and name != _ROOT]:
        del os.environ[name]
    os.environ["XDG_CONFIG_HOME"] = str(Path(os.environ[_ROOT]) / "config")


@pytest.hookimpl(wrapper=True)
def pytest_collection(session):
    """Collect without looking for garbage among a million objects that stay: it is half of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        # nor do tests look at them again, that collect garbage themselves
        gc.freeze()
        gc.enable()


def pytest_unconfigure(config):
    _close_admins()
    root = os.environ.get(_ROOT)
    if hasattr(config, "workerinput") or root is None:
        return
    choice = config.getoption("--postgres")
    if "://" in choice:
        _drop(choice, _template_name())
        _close_admins()
    place.remove(Path(root))
    del os.environ[_ROOT]


def pytest_runtest_setup(item):
    parts = item.path.relative_to(Path(__file__).parent).parts
    used = _NEEDS_DATABASE & set(item.fixturenames)
    if parts[0] in _PURE and used:
        pytest.fail(f"tests of the {parts[0]} floor touch no database, but this one asks for {sorted(used)}")


@pytest.fixture(autouse=True)
def _pure_floors_touch_no_database(request, monkeypatch):
    if request.path.relative_to(Path(__file__).parent).parts[0] not in _PURE:
        return

    elsewhere = set(threading.enumerate()) - {threading.current_thread()}

    def refusing(connect):
        def refuse(*args, **options):
            if threading.current_thread() in elsewhere:
                return connect(*args, **options)  # what an earlier test left behind ends in its own way
            pytest.fail("tests of pure floors touch no database")

        return refuse

    for kind in (psycopg.Connection, psycopg.AsyncConnection):
        monkeypatch.setattr(kind, "connect", refusing(kind.connect))


@pytest.fixture(autouse=True, scope="module")
def _handlers_stay_in_their_module():
    """What a fixture of a module loads is there for all its tests, and for no other's."""
    with handlers_forgotten():
        yield


@pytest.fixture(autouse=True)
def _handlers_stay_in_their_test():
    with handlers_forgotten():
        yield


def _unavailable(reason):
    if os.environ.get("CI"):
        pytest.fail(f"no PostgreSQL for the tests: {reason}")
    pytest.skip(f"no PostgreSQL for the tests: {reason}")


@contextmanager
def _session_lock(name):
    with (Path(os.environ[_ROOT]) / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def system_binaries() -> Path:
    """Return the directory of the newest PostgreSQL that the system's packages installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise EmbeddedError("nothing below /usr/lib/postgresql")
    return choose(None, found[-1].parent).directory


@pytest.fixture(scope="session")
def server(request):
    """URL of the session's server, as superuser."""
    choice = citus.choice(request.config)
    if choice == "testcontainers":
        with _container() as url:
            yield url
        return
    if "://" in choice:
        yield choice
        return
    if choice not in {"embedded", "system"}:
        pytest.exit(
            f"--postgres={choice}: use embedded, system, testcontainers, a URL, or citus with --citus", 2
        )
    try:
        bin_dir = system_binaries() if choice == "system" else None
        yield embedded.ensure_running(Path(os.environ[_ROOT]) / "server", settings=_SETTINGS, bin_dir=bin_dir)
    except EmbeddedError as error:
        _unavailable(error)


@contextmanager
def _container():
    module = pytest.importorskip("testcontainers.postgres")
    try:
        container = module.PostgresContainer("postgres:18", driver=None).start()
    except Exception as error:  # noqa: BLE001 - whatever a missing container engine raises
        _unavailable(error)
    with container:
        yield container.get_connection_url()


def url_of(server: str, name: str) -> str:
    """Return the URL of database ``name`` on ``server``."""
    return urlsplit(server)._replace(path=f"/{name}").geturl()


@contextmanager
def _admin(server):
    kept = _ADMINS.get(server)
    if kept is None or kept.info.transaction_status != TransactionStatus.IDLE:
        if kept is not None:
            kept.close()
        kept = _ADMINS[server] = psycopg.connect(server, autocommit=True, application_name="tests")
    yield kept


def _close_admins():
    while _ADMINS:
        _ADMINS.popitem()[1].close()


def _drop(server, name):
    with _admin(server) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _template_name():
    return f"template_{Path(os.environ[_ROOT]).name.removeprefix(place.PREFIX).replace('-', '_')}".lower()


@pytest.fixture(scope="session")
def shards(request):
    """Into how many shards the databases of this session are split."""
    return request.config.getoption("--shards")


@pytest.fixture(scope="session")
def template(server, shards):
    """Name of a migrated database that tests clone; shared by all processes of the session."""
    name = _template_name()
    with _session_lock("template"):
        with _admin(server) as admin:
            found = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
        if not found:
            fresh = f"{name}_new"
            _drop(server, fresh)
            with _admin(server) as admin:
                admin.execute(f"CREATE DATABASE {fresh}")
            Migrator(url_of(server, fresh), shards=shards).up()
            with _admin(server) as admin:
                admin.execute(f"ALTER DATABASE {fresh} RENAME TO {name}")
    return name


@contextmanager
def _fresh(server, template, *, one_shard=False):
    name = f"test_{secrets.token_hex(6)}"
    with _admin(server) as admin:
        # copying files needs a checkpoint, which is cheap without fsync and cheaper than logging every page
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    try:
        if one_shard:
            with psycopg.connect(url_of(server, name), autocommit=True) as connection:
                connection.execute("delete from tributary.meta where key = 'shards'")
        yield url_of(server, name)
    finally:
        _drop(server, name)


@pytest.fixture
def database(request, server):
    """URL of a fresh, migrated database; a test marked ``one_shard`` gets one shard in any case."""
    if citus.chosen(request.config):
        made = citus.fresh(server)
    else:
        one_shard = request.node.get_closest_marker("one_shard") is not None
        made = _fresh(server, request.getfixturevalue("template"), one_shard=one_shard)
    with made as url:
        yield url


@pytest.fixture
def empty_database(server):
    """URL of a fresh database without the schema."""
    with _fresh(server, "template0") as url:
        yield url


@pytest.fixture
def connection(database):
    """An autocommit connection to ``database``."""
    with db.connect(database, application_name="test") as opened:
        yield opened


@pytest.fixture(scope="session")
def eventually():
    """Return a function that calls ``probe`` until its answer is true, and returns that answer.

    ``eventually(probe, timeout=10, what="…")``; AssertionErrors of the probe count as not yet. ``what`` may
    be a function: what it returns at the end tells how things stood.
    """
    return wait_until


@pytest.fixture(scope="session")
def unchanged(request, server):
    """A read-only connection to a migrated database that all tests share."""
    if citus.chosen(request.config):
        made = citus.fresh(server)
    else:
        made = _fresh(server, request.getfixturevalue("template"))
    with made as url, db.connect(url, application_name="test") as opened:
        opened.execute("set default_transaction_read_only = on")
        yield opened


@pytest.fixture
def trib_env(database, tmp_path):
    """Environment of child processes: the test's database, homes of its own."""
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("TRIB_")},
        "HOME": str(tmp_path / "home"),
        "TRIB_HOME": str(tmp_path / "trib-home"),
        "TRIB_DATABASE_URL": database,
        "TRIB_EMBEDDED": "0",
        # whatever the machine has; a process takes half a second of it to start
        "TRIB_PROCESSES": "1",
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture(scope="session")
def nursery():
    """Forks child processes of a process that has imported everything."""
    opened = Nursery(Path(os.environ[_ROOT]))
    yield opened
    opened.close()


@pytest.fixture
def trib(trib_env, tmp_path, nursery):
    """Return a function that runs ``trib`` to its end: ``trib("list", "-o", "json") -> CompletedProcess``."""

    def run(*args, input=None, env=None, cwd=None, timeout=60):  # noqa: A002 - as subprocess.run has it
        environment = {**trib_env, **(env or {})}
        if nursery.fits(environment):
            return nursery.run(
                list(map(str, args)), input=input, env=environment, cwd=cwd or tmp_path, timeout=timeout
            )
        return subprocess.run(
            [sys.executable, "-m", "tributary_daemon", *map(str, args)],
            input=input,
            env=environment,
            cwd=cwd or tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture
def worker(trib_env, tmp_path, nursery, eventually):
    """Return a function that starts ``trib worker ARGS`` and waits until it says that it is ready."""
    started = []

    def start(*args, env=None, cwd=None, wait=True, timeout=30):
        path = tmp_path / f"worker-{len(started)}.log"
        process = launch(
            nursery, ["worker", *map(str, args)], {**trib_env, **(env or {})}, cwd or tmp_path, path
        )
        running = WorkerProcess(process, path)
        started.append(running)
        if wait:

            def ready():
                if process.poll() is not None:
                    pytest.fail(f"worker ended with {process.returncode}:\n{running.log()}")
                return "worker started" in running.log()

            eventually(ready, timeout, f"worker ready; its log:\n{running.log()}")
        return running

    yield start
    for running in started:
        if running.process.poll() is None:
            running.process.terminate()
    for running in started:
        try:
            running.process.wait(15)
        except subprocess.TimeoutExpired:
            print(f"worker {running.pid} did not drain")
        # its children, if it died without them
        kill_group(running.pid)
        running.process.wait(10)
        # shown by pytest for failed tests only
        print(f"--- log of worker {running.pid}\n{running.log()}")

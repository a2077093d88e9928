"""`trib service`: units that systemd accepts, written and removed where they belong."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tributary_daemon.cli import reach, systemd, units
from tributary_daemon.cli.catalog import COMMANDS
from tributary_daemon.cli.loader import late

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = (units.SERVICE, units.TEMPLATE)
SAFE = 25  # tenths: what `systemd-analyze security` calls OK ends there

analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is absent")


def lines(text, key):
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


def directives(text):
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def fitted(name):
    """Return a shipped unit whose program exists here, which `verify` wants."""
    return units.source(name).replace("/opt/tributary/.venv/bin/trib", sys.executable)


@pytest.fixture
def service(tmp_path):
    """Return a function that runs `trib service …` as a child process, without a database and systemd."""
    tools = tmp_path / "tools"
    tools.mkdir()
    environ = {
        **os.environ,
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "xdg"),
        "PATH": str(tools),
    }

    def run(*arguments, tool=None):
        if tool:
            (tools / "systemctl").write_text(tool)
            (tools / "systemctl").chmod(0o755)
        return subprocess.run(
            [sys.executable, "-m", "tributary_daemon", "service", *map(str, arguments)],
            cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return run


@pytest.fixture
def told(monkeypatch, tmp_path):
    """A systemd that runs and notes what it is told."""
    said = tmp_path / "told"
    tool = tmp_path / "bin" / "systemctl"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\necho "$@" >> {said}\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(systemd, "RUNNING", tmp_path)
    monkeypatch.setattr(systemd, "_OF_THE_SYSTEM", tmp_path / "system")
    return lambda: said.read_text().splitlines() if said.exists() else []


@analyze
@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("rendered", [False, True])
def test_systemd_accepts_the_units_and_finds_them_safe(tmp_path, cli, name, rendered):
    template = ["--template"] if name == units.TEMPLATE else []
    text = cli("service", "print", *template, "--name", 'a "b" 100% $x').out if rendered else fitted(name)
    path = tmp_path / name
    path.write_text(text)
    checked = tmp_path / name.replace("@.", "@media.")  # a template is verified as one of its instances
    if checked != path:
        checked.symlink_to(path)
    for command in (
        ["systemd-analyze", "verify", "--man=no", checked],
        ["systemd-analyze", "security", "--offline=true", f"--threshold={SAFE}", "--no-pager", path],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert str(path) not in done.stderr
        assert name not in done.stderr


@analyze
@pytest.mark.parametrize("name", SHIPPED)
def test_systemd_accepts_the_units_of_a_user(tmp_path, cli, name):
    template = ["--template"] if name == units.TEMPLATE else []
    text = cli("service", "print", "--user", *template).out
    path = tmp_path / name.replace("@.", "@media.")
    path.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", path],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "trib-worker" not in done.stderr


def test_both_shipped_units_differ_in_what_they_must_only():
    one, per_queue = (directives(units.source(name)) for name in SHIPPED)
    assert set(one) - set(per_queue) == {
        "Description=Tributary worker",
        "ExecStart=/opt/tributary/.venv/bin/trib worker --queues default",
    }
    assert set(per_queue) - set(one) == {
        "Description=Tributary worker for %i",
        "ExecStart=/opt/tributary/.venv/bin/trib worker --queues %i",
        "EnvironmentFile=-/etc/tributary/worker-%i.env",
    }
    assert not list(Path(units.__file__).parent.glob("*.service"))


def test_the_drain_and_the_watchdog_leave_time_to_the_worker(cli):
    text = units.source(units.SERVICE)
    assert int(lines(text, "TimeoutStopSec")[0]) > 60  # drain_timeout
    assert int(lines(text, "WatchdogSec")[0]) > 60  # silence_limit
    assert lines(cli("service", "print", "--drain-timeout", "10m").out, "TimeoutStopSec") == ["630"]


def test_a_unit_names_this_program_and_passes_options_on(cli, tmp_path):
    (tmp_path / "my handlers.py").write_text("")
    said = cli(
        "service", "print", "--queues", "default,heavy:4", "--names", "billing.%", "--import",
        "./my handlers.py", "--import", "billing", "--processes", 2, "--concurrency", 3,
        "--drain-timeout", "90s", "--enable-shell", "--tenant", "acme", "--no-auto-migrate",
    )  # fmt: skip
    assert said.code == 0
    (command,) = lines(said.out, "ExecStart")
    program, _, rest = command.partition(" worker ")
    assert Path(program.split()[0]).is_absolute()
    assert rest == (
        f'--queues default,heavy:4 --names "billing.%%" --processes 2 --concurrency 3'
        f' --import "{tmp_path}/my handlers.py" --import billing'
        " --drain-timeout 90s --enable-shell --tenant acme --no-auto-migrate"
    )
    late(COMMANDS["worker"].place).make_context("worker", ["--queues", "default,heavy:4", "--tenant", "acme"])


def test_a_users_unit_asks_for_nothing_that_only_root_has(cli):
    text = cli("service", "print", "--user").out
    assert not any(line.partition("=")[0] in units._SYSTEM_ONLY for line in directives(text))
    assert lines(text, "LoadCredential") == ["database_url:%h/.config/tributary/database_url"]
    assert lines(text, "WantedBy") == ["default.target"]
    assert "/etc/" not in text
    # a comment goes with what it speaks of
    assert "DynamicUser" not in text
    assert "\n\n\n" not in text
    assert not re.search(r"\n#[^\n]*\n\n", text.partition("\n\n")[2])


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (
            ["--database-url", "postgresql://u:s3cret@h/d"],
            "a URL does not belong in a unit",
            "/etc/tributary/",
        ),
        (["--template", "--queues", "a"], "--queues and --template exclude each other", "trib-worker@media"),
        (["--queues", "heavy:x"], "'heavy:x' is not a queue to serve", "heavy:4"),
        (["--import", "./none.py"], "there is no file ./none.py", ""),
    ],
)
def test_what_cannot_be_part_of_a_unit_is_refused(cli, arguments, error, hint):
    said = cli("service", "print", *arguments)
    assert (said.code, said.out) == (2, "")
    assert error in said.err
    assert hint in said.err
    assert "s3cret" not in said.err


def test_install_writes_once_and_overwrites_only_when_told(service, tmp_path):
    there = ("--directory", tmp_path / "units")
    done = service("install", *there, "-o", "json")
    assert done.returncode == 0, done.stderr
    path = tmp_path / "units" / units.SERVICE
    assert '"state": "installed"' in done.stdout
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert "/etc/tributary/database_url" in done.stderr
    assert "systemctl enable --now trib-worker" in done.stderr
    text = path.read_text()
    assert '"unchanged"' in service("install", *there, "-o", "json").stdout
    refused = service("install", *there, "--queues", "other")
    assert refused.returncode == 8
    assert "differs; nothing was written" in refused.stderr
    assert "--force" in refused.stderr
    assert path.read_text() == text
    assert service("install", *there, "--queues", "other", "--force").returncode == 0
    assert "--queues other" in path.read_text()
    assert [item.name for item in path.parent.iterdir()] == [units.SERVICE]  # no half-written file stays


def test_uninstall_removes_and_may_be_said_twice(service, tmp_path):
    there = ("--directory", tmp_path / "units", "--template")
    assert service("install", *there, "--user").returncode == 0
    assert (tmp_path / "units" / units.TEMPLATE).exists()
    assert service("uninstall", *there, "-o", "name").stdout.endswith(f"{units.TEMPLATE}\n")
    assert list((tmp_path / "units").iterdir()) == []
    again = service("uninstall", *there)
    assert again.returncode == 0
    assert "nothing to remove" in again.stdout


def test_without_systemd_print_works_and_install_says_what_is_missing(service, tmp_path):
    assert "ExecStart=" in service("print").stdout
    done = service("install", "--user")
    assert done.returncode == 8
    assert "there is no `systemctl`" in done.stderr
    assert "--directory" in done.stderr
    assert not (tmp_path / "xdg").exists()


@pytest.mark.skipif(systemd.RUNNING.is_dir(), reason="systemd runs here")
def test_install_where_systemd_does_not_run_yet(service, tmp_path):
    done = service("install", "--user", tool="#!/bin/sh\nexit 9\n")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "xdg" / "systemd" / "user" / units.SERVICE).is_file()
    assert "systemd does not run here" in done.stderr
    assert "loginctl enable-linger" in done.stderr


def test_systemd_is_told(cli, told, tmp_path):
    assert cli("service", "install").code == 0
    assert (tmp_path / "system" / units.SERVICE).is_file()
    assert cli("service", "install", "--user", "--template").code == 0
    assert told() == ["daemon-reload", "--user daemon-reload"]
    said = cli("service", "uninstall")
    assert said.code == 0
    assert "what runs is finished first" in said.err
    assert told()[2:] == [
        "stop trib-worker.service", "disable trib-worker.service", "daemon-reload",
        "reset-failed trib-worker.service",
    ]  # fmt: skip
    assert cli("service", "uninstall", "--user", "--template").code == 0
    assert told()[6:8] == ["--user stop trib-worker@*.service", "--user disable trib-worker@.service"]


def test_what_systemctl_says_is_passed_on(cli, told, tmp_path):
    (tmp_path / "bin" / "systemctl").write_text("#!/bin/sh\necho Failed to connect to bus >&2; exit 1\n")
    said = cli("service", "install", "--user")
    assert said.code == 8
    assert "`systemctl --user daemon-reload` failed: Failed to connect to bus" in said.err
    assert "enable-linger" in said.err


def test_a_folder_that_cannot_be_written_is_named(cli, tmp_path):
    (tmp_path / "file").write_text("")
    said = cli("service", "install", "--directory", tmp_path / "file" / "units")
    assert said.code == 8
    assert f"cannot read {tmp_path}/file/units/{units.SERVICE}" in said.err
    assert "--directory DIR" in said.err
    said = systemd.refused("write", Path("/etc/x"), PermissionError(13, "Permission denied"))
    assert "sudo" in said.hint


def test_places_that_a_service_cannot_reach_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(reach, "_PRIVATE", (Path("/nowhere"),))
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (found,) = reach.obstacles([closed / "bin" / "trib"])
    assert "is closed to other accounts" in found
    assert reach.obstacles([Path("/usr/bin/env")]) == []
    monkeypatch.setattr(reach, "_PRIVATE", (tmp_path,))
    assert f"a {tmp_path} of its own" in reach.obstacles([closed / "x"])[0]
    assert reach.below_home([Path("/home/ada/trib")])
    assert not reach.below_home([Path("/opt/home/trib")])

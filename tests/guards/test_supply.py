# ruff: noqa: E501 - patterns
"""What is installed is known: pinned, licensed, and no secret lies in the repository.

Known vulnerabilities are looked up on the network (`pip-audit -r constraints.txt`), so not here.
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = {
    canonicalize_name(line.partition("==")[0]): line.partition("==")[2]
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
}
PERMISSIVE = re.compile(
    r"\b(MIT|BSD|Apache|ISC|PSF|Python Software Foundation|HPND|MPL|Mozilla|LGPL|Lesser General|PostgreSQL|Unlicense|0BSD)\b"
)
SHIPPED = [
    *PROJECT["dependencies"],
    *PROJECT["optional-dependencies"]["crypto"],
    *PROJECT["optional-dependencies"]["images"],
]
SECRETS = {
    "private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
    "cloud key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "token of a forge": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{50,}|glpat-[\w-]{20})\b"),
    "token of a service": re.compile(
        r"\b(?:xox[abprs]-[\w-]{20,}|sk_live_\w{20,}|AIza[\w-]{35}|pypi-[\w-]{50,})"
    ),
    "web token": re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    "password in a URL": re.compile(r"postgres(?:ql)?://[^\s:/@'\"`]+:(?P<word>[^\s@'\"`{$%<&*]{12,})@"),
}


EXAMPLES = {"tests/store/test_db.py"}  # passwords of its own, which must not be shown


def wanted(requirements):
    """Return the names that requirements ask for on this machine."""
    parsed = [Requirement(text) for text in requirements]
    return {canonicalize_name(one.name): one for one in parsed if one.marker is None or one.marker.evaluate()}


def test_every_dependency_is_pinned_at_a_version_that_fits():
    for name, requirement in wanted(SHIPPED).items():
        assert name in PINS, f"{name}: make constraints"
        assert PINS[name] in requirement.specifier, f"{name}=={PINS[name]} is not {requirement.specifier}"


def test_what_dependencies_need_is_pinned_as_well():
    missing = []
    for name in PINS:
        try:
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # of an extra that is not installed here
        plain = [text for text in requires if "extra ==" not in text]
        missing += [f"{name} needs {need}" for need in wanted(plain) if need not in PINS]
    assert missing == []


def licence_of(name):
    facts = importlib.metadata.metadata(name)
    return " ".join([facts.get("License-Expression") or "", (facts.get("License") or "")[:200], *(
        text for text in facts.get_all("Classifier") or [] if text.startswith("License"))])  # fmt: skip


def test_every_dependency_has_a_licence_that_lets_it_be_used():
    installed = [name for name in wanted(PROJECT["dependencies"]) if name in PINS]
    assert len(installed) > 5
    assert [
        f"{name}: {licence_of(name)}" for name in installed if not PERMISSIVE.search(licence_of(name))
    ] == []


def tracked():
    """Return the files that git knows, else all that a source distribution has."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    if listed.returncode == 0 and listed.stdout:
        return [ROOT / name for name in listed.stdout.split("\0") if name]
    return [
        path for folder in ("tributary_daemon", "sql", "docs", "tests") for path in (ROOT / folder).rglob("*")
    ]


def secrets_in(text):
    return [what for what, pattern in SECRETS.items() if pattern.search(text)]


def test_no_secret_lies_in_the_repository():
    found = {}
    for path in tracked():
        name = path.relative_to(ROOT).as_posix()
        if (
            path.is_file()
            and name not in EXAMPLES
            and path != Path(__file__).resolve()
            and path.stat().st_size < 2_000_000
        ):
            for what in secrets_in(path.read_text(encoding="utf-8", errors="replace")):
                found.setdefault(what, []).append(name)
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN RSA PRIVATE KEY-----", "AKIA" + "A1" * 8, "ghp_" + "a1" * 18, "sk_live_" + "x" * 24,
        "postgresql://app:correct-horse-battery@db/app", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijk",
    ],
)  # fmt: skip
def test_secrets_are_found(text):
    assert secrets_in(f"x = '{text}'")

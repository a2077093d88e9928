"""Settings: where they come from, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tributary_daemon import config
from tributary_daemon.errors import ConfigError

DOCUMENTATION = Path(__file__).parent.parent / "docs" / "configuration.md"


@pytest.fixture
def load(tmp_path):
    user = tmp_path / "home"
    project = tmp_path / "project"
    (user / ".config" / "trib").mkdir(parents=True)
    project.mkdir()

    def run(*, flags=None, environ=None, project_file="", user_file=""):
        (project / "trib.toml").write_text(project_file)
        (user / ".config" / "trib" / "config.toml").write_text(user_file)
        return config.load(flags or {}, environ={"HOME": str(user), **(environ or {})}, cwd=project)

    return run


def test_nearer_sources_win_and_each_value_remembers_its_own(load, tmp_path):
    every = {
        "user_file": "concurrency = 1\nprocesses = 1\nshards = 1\nbeat = 1",
        "project_file": "concurrency = 2\nprocesses = 2\nshards = 2",
        "environ": {"TRIB_CONCURRENCY": "3", "TRIB_PROCESSES": "3"},
        "flags": {"concurrency": 4, "processes": None},
    }
    settings = load(**every)
    assert (settings.concurrency, settings.source("concurrency")) == (4, "flag")
    assert (settings.processes, settings.source("processes")) == (3, "TRIB_PROCESSES")
    assert (settings.shards, settings.source("shards")) == (2, str(tmp_path / "project" / "trib.toml"))
    assert (settings.beat, settings.source("beat")) == (1.0, str(tmp_path / "home/.config/trib/config.toml"))
    assert (settings.lease, settings.source("lease")) == (10.0, "built-in")


def test_unset_is_not_the_default(load):
    assert load(environ={"TRIB_CONCURRENCY": ""}, user_file="concurrency = 7").concurrency == 7
    assert load(flags={"auto_migrate": False}, environ={"TRIB_AUTO_MIGRATE": "1"}).auto_migrate is False


def test_built_in_values_without_any_file(load, tmp_path):
    settings = load()
    assert settings.database_url is None
    assert settings.embedded is None
    assert settings.home == tmp_path / "home" / ".local" / "share" / "tributary"
    assert settings.queues == ("default",)
    assert settings.max_payload == 1024 * 1024
    assert (settings.drain_timeout, settings.beat, settings.lease) == (60.0, 2.0, 10.0)


def test_option_defaults_merge_key_by_key(load, tmp_path):
    settings = load(
        user_file='[defaults]\nqueue = "slow"\nmax_attempts = 3\n[defaults.retry]\nbackoff = "fixed"',
        project_file='[defaults]\nqueue = "fast"\ntimeout = "2m"',
    )
    assert dict(settings.defaults) == {
        "queue": "fast",
        "timeout": 120.0,
        "max_attempts": 3,
        "retry": {"backoff": "fixed"},
    }
    shown = {name: (value, source) for name, value, source in settings.rows()}
    assert shown["defaults.queue"] == ("fast", str(tmp_path / "project" / "trib.toml"))
    assert shown["defaults.max_attempts"][1].endswith("config.toml")
    assert shown["defaults.priority"] == ("", "built-in")


def test_rows_name_every_setting_and_mask_passwords(load):
    settings = load(environ={"TRIB_DATABASE_URL": "postgresql://me:s3cret@db/x"})
    shown = {name: value for name, value, _ in settings.rows()}
    assert shown["database_url"] == "postgresql://me:***@db/x"
    assert {name for name in shown if not name.startswith("defaults.")} == set(config.KEYS) - {"defaults"}
    assert "s3cret" not in str(shown)


@pytest.mark.parametrize(
    ("file", "message", "hint"),
    [
        ("concurency = 3", "unknown setting 'concurency'", "did you mean 'concurrency'?"),
        ("concurrency = ", "not valid TOML", "key = "),
        ("concurrency = 0", "0 is not between 1 and 10000", "slots per process"),
        ("concurrency = true", "a whole number is expected", "slots"),
        ('drain_timeout = "soon"', "'soon' is not a duration", "drain"),
        ('log_level = "loud"', "one of debug, info", "logged"),
        ('max_payload = "1 banana"', "a size such as 1MiB", "payload"),
        ("queues = 3", "a list of names", "queues"),
        ('auto_migrate = "perhaps"', "true or false", "schema"),
        ("defaults = 3", "a table is expected", "options"),
        ("[defaults]\nqeue = 'x'", "did you mean 'queue'?", "options"),
        ("[defaults]\npriority = 'x'", "priority: a whole number", "options"),
        ("[defaults.retry]\nbackof = 'fixed'", "did you mean 'backoff'?", "options"),
        ("[defaults.retry]\nbackoff = 'wild'", "unknown backoff 'wild'", "options"),
        ("lease = 3", "lease (3s) must be at least twice the beat (2s)", "raise lease"),
    ],
)
def test_mistakes_are_named_with_their_place(load, file, message, hint):
    with pytest.raises(ConfigError) as caught:
        load(project_file=file)
    assert message in caught.value.message
    assert hint in caught.value.hint
    if "lease" not in file:
        assert "trib.toml" in caught.value.message


def test_a_mistake_in_the_environment_names_the_variable(load):
    with pytest.raises(ConfigError, match="concurrency from TRIB_CONCURRENCY: 'many': a whole number"):
        load(environ={"TRIB_CONCURRENCY": "many"})


def test_an_unknown_flag_is_refused(load):
    with pytest.raises(ConfigError, match="unknown setting 'queue'"):
        load(flags={"queue": "x"})


@pytest.fixture
def credential(tmp_path):
    """Return a function that writes a credential and gives the environment that leads to it."""
    folder = tmp_path / "credentials"
    folder.mkdir()

    def write(name, content):
        (folder / name).write_bytes(content)
        return {"CREDENTIALS_DIRECTORY": str(folder)}

    return write


def test_a_credential_ranks_below_the_environment_and_above_files(load, credential):
    environ = credential("database_url", b"postgresql://me:s3cret@db/x\n")
    below = 'database_url = "postgresql://file/x"\nlisten_url = "postgresql://file/listen"'
    settings = load(environ=environ, project_file=below)
    assert settings.database_url == "postgresql://me:s3cret@db/x"
    assert settings.source("database_url") == "credential database_url"
    assert settings.listen_url == "postgresql://file/listen"
    shown = {name: (value, source) for name, value, source in settings.rows()}
    assert shown["database_url"] == ("postgresql://me:***@db/x", "credential database_url")
    credential("listen_url", b"postgresql://credential/listen")
    assert load(environ=environ, project_file=below).source("listen_url") == "credential listen_url"
    nearer = load(environ={**environ, "TRIB_DATABASE_URL": "postgresql://env/x"})
    assert (nearer.database_url, nearer.source("database_url")) == ("postgresql://env/x", "TRIB_DATABASE_URL")
    assert load(flags={"database_url": "postgresql://f/x"}, environ=environ).source("database_url") == "flag"


def test_only_secrets_come_from_credentials(load, credential, tmp_path):
    assert load(environ=credential("concurrency", b"3")).concurrency == 10
    assert load(environ={"CREDENTIALS_DIRECTORY": str(tmp_path / "none")}).database_url is None
    assert load(environ={"CREDENTIALS_DIRECTORY": ""}).database_url is None


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        (b"", "is empty", "the URL alone"),
        (b" \n", "is empty", "the URL alone"),
        (b"# mine\npostgresql://me:s3cret@db/x\n", "holds more than one line", "the URL alone"),
        (b"\xff\x00s3cret", "is not UTF-8", "LoadCredentialEncrypted="),
    ],
)
def test_a_malformed_credential_is_refused_and_not_shown(load, credential, content, message, hint):
    with pytest.raises(ConfigError) as caught:
        load(environ=credential("database_url", content), project_file='database_url = "postgresql://x/y"')
    assert "credential database_url" in caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert "s3cret" not in str(caught.value)


def test_a_credential_that_cannot_be_read_is_refused(load, tmp_path):
    (tmp_path / "credentials" / "database_url").mkdir(parents=True)  # unreadable for root too
    with pytest.raises(ConfigError, match="cannot read the credential database_url") as caught:
        load(environ={"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")})
    assert "LoadCredential=database_url:" in caught.value.hint
    given = {"TRIB_DATABASE_URL": "postgresql://x/y", "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    assert load(environ=given).database_url == "postgresql://x/y"  # what is not needed is not read


@given(
    st.text(
        alphabet=st.characters(
            exclude_characters="@/?#: \t\r\n\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0", codec="ascii"
        ),
        min_size=8,
    )
)
def test_mask_never_shows_a_password(password):
    shown = config.mask(f"cannot use postgresql://me:{password}@host:5432/db?x=1 today")
    assert shown == "cannot use postgresql://me:***@host:5432/db?x=1 today"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("host=x password=abc user=y", "host=x password=*** user=y"),
        ("password='a b\\'c' user=y", "password=*** user=y"),
        ("postgresql://h/db?password=abc&x=1", "postgresql://h/db?password=***&x=1"),
        ("postgresql://u:a@b@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
    ],
)
def test_mask_knows_all_of_libpqs_shapes(text, shown):
    assert config.mask(text) == shown


def test_every_setting_is_documented():
    text = DOCUMENTATION.read_text()
    for name in config.KEYS:
        assert f"`{name}`" in text, name
        assert name == "defaults" or f"`{config.env_name(name)}`" in text, name


def test_importing_it_loads_neither_psycopg_nor_pydantic():
    code = "import sys, tributary_daemon.config; print({'psycopg', 'pydantic', 'yaml'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_the_home_of_nobody_is_refused(load):
    with pytest.raises(ConfigError, match="~no-such-user is nobody's home"):
        load(environ={"TRIB_HOME": "~no-such-user/data"})

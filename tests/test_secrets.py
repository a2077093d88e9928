"""Where a worker finds its secrets."""

from __future__ import annotations

import pytest

from tributary_daemon.config.secrets import LARGEST, Secrets
from tributary_daemon.errors import SecretMissing


def test_the_environment_comes_first_then_the_directory_then_credentials(tmp_path):
    files, credentials = tmp_path / "secrets", tmp_path / "credentials"
    for directory in (files, credentials):
        directory.mkdir()
        (directory / "api-key").write_text(f"from {directory.name}\n")
    environ = {"TRIB_SECRET_API_KEY": "from environment", "CREDENTIALS_DIRECTORY": str(credentials)}
    assert Secrets(files, environ=environ).get("api-key") == "from environment"
    environ["TRIB_SECRET_API_KEY"] = ""
    assert Secrets(files, environ=environ).mapping(["api-key"]) == {"api-key": "from secrets"}
    assert Secrets(environ=environ).get("api-key") == "from credentials"


def test_only_one_newline_at_the_end_is_left_out(tmp_path):
    (tmp_path / "pem").write_text("line 1\nline 2\n\n")
    assert Secrets(tmp_path, environ={}).get("pem") == "line 1\nline 2\n"


def test_a_missing_secret_names_the_places(tmp_path):
    with pytest.raises(SecretMissing) as caught:
        Secrets(tmp_path, environ={"CREDENTIALS_DIRECTORY": "/run/credentials/x"}).get("db_password")
    for place in ("TRIB_SECRET_DB_PASSWORD", f"{tmp_path}/db_password", "/run/credentials/x/db_password"):
        assert place in caught.value.message
    with pytest.raises(SecretMissing, match="secrets_dir"):
        Secrets(environ={}).get("db_password")


def test_the_settings_of_the_worker_are_no_secrets_of_workflows(tmp_path):
    (tmp_path / "database_url").write_text("postgresql://u:p@h/d")
    with pytest.raises(SecretMissing):
        Secrets(environ={"CREDENTIALS_DIRECTORY": str(tmp_path)}).get("database_url")


@pytest.mark.parametrize("name", ["../passwd", "", "a/b", "1st", "x" * 101, "a b"])
def test_names_lead_nowhere_else(tmp_path, name):
    with pytest.raises(SecretMissing, match="not the name"):
        Secrets(tmp_path, environ={}).get(name)


@pytest.mark.parametrize(
    ("content", "said"), [(b"\xff\xfe", "not UTF-8"), (b"\n", "empty"), (b"x" * (LARGEST + 1), "larger")]
)
def test_unfit_files_are_said_without_their_content(tmp_path, content, said):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(SecretMissing, match=said) as caught:
        Secrets(tmp_path, environ={}).get("key")
    assert "xxx" not in str(caught.value)

"""User signup: a chain whose data are checked at each step."""

from __future__ import annotations

import json
from email import message_from_string
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from tributary_daemon import Abort


@pytest.fixture
def signup(example):
    return example("signup")


def test_repeating_a_step_changes_nothing(signup, tmp_path):
    args = signup.CreateUser(email=" Ada@Example.org ", directory=str(tmp_path))
    first, second = signup.create_user(args), signup.create_user(args)
    assert first == second
    since = [signup.activate_user(signup.ActivateUser(account=first.account)).active_since for _ in range(2)]
    assert since[0] == since[1]
    assert signup.create_user(args) == first  # and does not make the account inactive again
    assert json.loads(Path(first.account).read_text())["active_since"]
    mail = signup.Email(to="ada@example.org", subject="Hi", body="Grüße", directory=str(tmp_path))
    step = SimpleNamespace(idempotency_token="run/3")
    assert signup.send_email(mail, step) == signup.send_email(mail, step)
    assert len(list((tmp_path / "mail").iterdir())) == 1


def test_an_address_must_look_like_one(signup):
    with pytest.raises(ValidationError):
        signup.CreateUser(email="ada", directory="out")


def test_an_account_that_is_not_there_is_no_reason_to_try_again(signup, tmp_path):
    with pytest.raises(Abort):
        signup.activate_user(signup.ActivateUser(account=str(tmp_path / "none.json")))


def test_the_run_passes_results_along(run_example, tmp_path):
    code, run = run_example("user_signup", "-i", "email=ada@example.org", handlers="signup")
    assert (code, run["state"]) == (0, "completed"), run
    created = run["steps"]["create_user"]["result"]
    assert run["result"]["user_id"] == created["user_id"]
    account = json.loads(Path(created["account"]).read_text())
    assert account["email"] == "ada@example.org"
    assert account["active_since"] == run["steps"]["activate_user"]["result"]["active_since"]
    mail = message_from_string(Path(run["result"]["mail"]).read_text())
    assert mail["To"] == "ada@example.org"
    assert created["user_id"] in mail.get_payload()
    assert Path(run["result"]["mail"]).is_relative_to(tmp_path)


def test_a_missing_or_malformed_address_is_refused(trib, run_example):
    said = trib("run", Path(__file__).resolve().parents[2] / "workflows" / "user_signup.yaml")
    assert said.returncode == 3
    assert "email" in said.stderr
    code, run = run_example("user_signup", "-i", "email=ada", handlers="signup")
    assert (code, run["state"]) == (1, "failed")
    assert run["steps"]["create_user"]["error"]["reason"] == "invalid_payload"
    assert run["steps"]["send_email"]["state"] == "skipped"

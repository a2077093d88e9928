"""The rules that hold before anything runs, R1-R5, R11, R14 and R17, by the installed `trib` alone.

Those of running steps are in tests/language.
"""

from __future__ import annotations

import json
import re

import pytest


@pytest.fixture
def validate(trib, tmp_path):
    """Return a function that validates a text: (exit code, what was said, [(code, line)])."""

    def run(text, *options, name="flow.yaml"):
        (tmp_path / name).write_text(text)
        done = trib("validate", name, *options)
        at = re.escape(name) + r":(\d+):\d+: .*\[(TRB\d+)\]$"
        found = [(code, int(line)) for line, code in re.findall(at, done.stderr, re.MULTILINE)]
        return done.returncode, done.stdout + done.stderr, found

    return run


def run_of(trib, path, *options):
    done = trib("run", path, "-o", "json", *options)
    return done.returncode, json.loads(done.stdout)


def test_r01_ids_names_and_versions(validate):
    longest = "a" * 100
    assert validate(f"steps:\n  {longest}: {{run: 'true'}}\n  _b-2: {{run: 'true'}}\n")[0] == 0
    code, said, found = validate(f"steps:\n  {longest}a: {{run: x}}\n  2b: {{run: x}}\n  a.b: {{run: x}}\n")
    assert (code, found) == (3, [("TRB120", 2), ("TRB120", 3), ("TRB120", 4)])
    unversioned = "name: shop.order\nsteps: {a: {run: 'true'}}\n"
    code, said, found = validate(unversioned)
    assert (code, found) == (0, [("TRB122", 1)])
    assert "warning" in said
    assert validate(unversioned, "--strict")[0] == 3
    assert validate("steps: {a: {run: 'true'}}\n", "--strict", name="Any name, really.yaml")[0] == 0


def test_r02_exactly_one_action(validate):
    code, said, _ = validate("steps:\n  a: {run: x, task: a.b.v1}\n  b: {needs: a}\n")
    assert code == 3
    assert "flow.yaml:2:" in said
    assert "flow.yaml:3:" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps:\n  a: {run: x, timout: 3s}\n", "did you mean 'timeout'? known: task, run,"),
        ("steps:\n  a: {run: x, depends_on: [b]}\n  b: {run: x}\n", "needs"),
        ("steps:\n  a: {uses: shop.a.v1}\n", "task"),
        ("steps:\n  a: {run: x, when: 'true'}\n", "if"),
        ("steps:\n  a: {run: x, retries: 3}\n", "max_attempts"),
        ("outputs: {a: 1}\nsteps: {a: {run: x}}\n", "result"),
    ],
)
def test_r03_unknown_keys_are_errors_with_the_word_that_is_meant(validate, text, said):
    code, told, found = validate(text)
    assert (code, [code for code, _ in found]) == (3, ["TRB102"])
    assert said in told.partition("^~")[2]


def test_r03_keys_that_begin_with_x_are_free(validate):
    text = "x-team: {a: 1}\nsteps:\n  a: {run: 'true', x-note: [1], retry: {delay: 1s, x-why: y}}\n"
    assert validate(text)[0] == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps:\n  a: {run: x}\n  a: {run: y}\n", "'a'"),
        ("", "empty"),
        ("steps:\n  1: {run: x}\n", "1"),
        ("steps:\n  a: {run: !!python/object:os.system x}\n", "tag"),
        ("steps: " + "[" * 200_000, "nested"),
        ("a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
            f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
        ), "alias"),
        ("steps:\n  a: {run: x, needs: c}\n  b: {run: x, needs: a}\n  c: {run: x, needs: b}\n", " -> c -> "),
        ("steps:\n  a: {run: x, needs: extarct}\n  extract: {run: x}\n", "did you mean 'extract'?"),
        ("steps:\n  a: {run: x, needs: a}\n", "itself"),
        ("steps:\n  a: {task: a.b.v1, with: {x: ${{ inputs.x }}}}\n", "quote"),
        ("steps:\n  a: {run: x, if: !inputs.x}\n", "quote"),
        ("steps:\n  a:\n    run: echo one #two\n    task: a.b.v1\n", "#"),
    ],
)  # fmt: skip
def test_r04_what_yaml_would_let_pass_is_refused_in_words_of_its_own(validate, text, said):
    code, told, _ = validate(text)
    assert code == 3, told
    assert said in told


def test_r04_all_faults_of_a_file_come_in_one_pass_by_position(validate):
    text = "name: 3\nsteps:\n  a: {run: x, needs: b}\n  c: {run: x, timeout: soon}\n  d: {with: {}}\n"
    code, _, found = validate(text)
    assert code == 3
    assert [line for _, line in found] == sorted(line for _, line in found)
    assert {line for _, line in found} == {1, 3, 4, 5}


def test_r05_scalars_are_those_of_yaml_1_2_and_what_looks_like_more_stays_text(trib, tmp_path):
    (tmp_path / "scalars.yaml").write_text(
        "steps:\n  a:\n    task: trib.noop.v1\n    with:\n"
        "      texts: [0777, 007, on, yes, NO, off, 12:30:45, 2026-03-01, 1_000, .inf., 'null']\n"
        "      others: [true, False, null, ~, 10, -3, 0x1F, 0o17, 1.5, 1e3]\n"
    )
    code, run = run_of(trib, "scalars.yaml")
    assert code == 0
    result = run["steps"]["a"]["result"]
    assert result["texts"] == [
        "0777", "007", "on", "yes", "NO", "off", "12:30:45", "2026-03-01", "1_000", ".inf.", "null",
    ]  # fmt: skip
    assert result["others"] == [True, False, None, None, 10, -3, 31, 15, 1.5, 1000.0]


def test_r11_a_run_keeps_its_source_and_goes_on_with_it(trib, worker, connection, tmp_path):
    source = "name: kept.flow.v1\nsteps: {a: {task: trib.noop.v1, with: {n: 1}}}  # as written\n"
    path = tmp_path / "kept.yaml"
    path.write_text(source)
    run_id = trib("submit", path, "-o", "name").stdout.strip()
    worker()
    path.write_text(source.replace("n: 1", "n: 2"))
    assert trib("register", path, "--strict").returncode == 0, "a submit registers nothing"
    path.write_text(source.replace("n: 1", "n: 3"))
    refused = trib("register", path, "--strict")
    assert refused.returncode == 3
    revised = trib("register", path)
    assert (revised.returncode, "warning" in revised.stderr) == (0, True)
    done = trib("watch", run_id)
    assert done.returncode == 0
    assert json.loads(trib("status", run_id, "-o", "json").stdout)["steps"]["a"]["result"] == {"n": 1}
    again = trib("rerun", run_id, "--wait", "-o", "json")
    assert json.loads(again.stdout)["steps"]["a"]["result"] == {"n": 1}
    latest = trib("rerun", run_id, "--latest", "--wait", "-o", "json")
    assert json.loads(latest.stdout)["steps"]["a"]["result"] == {"n": 3}
    stored = connection.execute(
        "select v.source from tributary.runs r join tributary.revisions v using (revision_id)"
        " where r.run_id = %s",
        (run_id,),
    ).fetchone()
    assert stored == (source,)


def test_r14_a_rejected_submit_stores_nothing_and_an_unknown_handler_rejects_none(trib, connection, tmp_path):
    (tmp_path / "bad.yaml").write_text("inputs: {n: {type: integer}}\nsteps: {a: {task: trib.noop.v1}}\n")
    assert trib("submit", "bad.yaml", "-i", "n=many").returncode == 3
    assert trib("submit", "bad.yaml", "-i", "m=1").returncode == 3
    (tmp_path / "late.yaml").write_text("steps: {a: {task: trib.nop.v1}}\n")
    assert trib("submit", "late.yaml", "--strict").returncode == 3
    assert trib("run", "late.yaml").returncode == 3
    for table in ("runs", "steps", "revisions", "payloads", "event_log"):
        assert connection.execute(f"select count(*) from tributary.{table}").fetchone() == (0,), table
    done = trib("submit", "late.yaml")
    assert done.returncode == 0
    assert "warning" in done.stderr
    assert "did you mean 'trib.noop.v1'?" in done.stderr
    assert "trib.nop.v1" in trib("why", "@latest").stdout


def test_r17_a_script_has_its_own_small_environment_and_the_directory_of_its_file(trib, tmp_path):
    folder = tmp_path / "flows"
    folder.mkdir()
    (folder / "shell.yaml").write_text(
        "inputs: {email: {type: string}}\n"
        "steps:\n"
        "  a:\n"
        "    run: |\n"
        "      env | cut -d= -f1 | sort | grep -v '^_$' | grep -v '^SHLVL$' | tr '\\n' ' ' > names\n"
        '      echo "names=$(cat names)" >> "$TRIB_OUTPUT"\n'
        '      echo "mail=$TRIB_INPUT_EMAIL $GREETING" >> "$TRIB_OUTPUT"\n'
        '    env: {GREETING: "hi ${{ inputs.email }}"}\n'
    )
    done = trib(
        "run", "flows/shell.yaml", "-i", "email=a@b.c; echo", "-o", "json", env={"FOREIGN": "1", "LANG": "C"}
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)["steps"]["a"]["result"]
    assert result["mail"] == "a@b.c; echo hi a@b.c; echo"
    names = set(result["names"].split())
    assert {name for name in names if not name.startswith("TRIB_")} <= {
        "PATH",
        "HOME",
        "LANG",
        "TZ",
        "PWD",
        "GREETING",
    }
    assert "TRIB_INPUT_EMAIL" in names
    assert "TRIB_DATABASE_URL" not in names
    assert (folder / "names").exists()


def test_r17_text_is_not_spliced_into_scripts_and_a_daemon_runs_none_unasked(
    trib, worker, validate, tmp_path
):
    text = "steps:\n  a: {run: 'echo ${{ steps.b.result.x }}', with: {a: 1}}\n  b: {run: 'true'}\n"
    code, said, found = validate(text)
    assert (code, sorted(code for code, _ in found)) == (3, ["TRB123", "TRB135"])
    assert """write env: {X: "${{ steps.b.result.x }}"} and use "$X" in the script""" in said
    worker()
    (tmp_path / "plain.yaml").write_text("steps: {a: {run: 'true'}}\n")
    done = trib("submit", "plain.yaml")
    assert done.returncode == 0
    assert "shell" in done.stderr
    assert "--enable-shell" in trib("why", "@latest").stdout

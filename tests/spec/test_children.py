# ruff: noqa: E501 - documents read best unbroken
"""Workflows that steps run: other files, later documents, registered names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.effort import cpu_seconds
from tributary_daemon.errors import InvalidWorkflow
from tributary_daemon.spec.loader import load_file, load_text
from tributary_daemon.spec.workflow import WorkflowSpec

CHILD = "inputs: {n: {type: integer, default: 1}}\nsteps: {c: {task: t.v1, with: {n: '${{ inputs.n }}'}}}\n"


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    return write


def problems_of(path):
    with pytest.raises(InvalidWorkflow) as caught:
        load_file(path)
    return caught.value.problems


def test_a_file_beside_it(write):
    write("parts/child.yaml", CHILD)
    spec = load_file(
        write("main.yaml", "steps: {a: {workflow: ./parts/child.yaml, with: {n: 3}}}"), strict=True
    )
    child = spec.children["child"]
    assert child.source == CHILD
    assert child.steps[0].id == "c"
    assert spec.steps[0].workflow == {"name": "child", "hash": child.revision_hash()}
    assert spec.steps[0].with_ == {"n": 3}


def test_other_content_of_a_child_is_another_revision_of_the_same_source(write):
    write("child.yaml", CHILD)
    path = write("main.yaml", "name: m.v1\nsteps: {a: {workflow: child.yaml}}")
    before = load_file(path)
    write("child.yaml", CHILD + "# changed\n")
    after = load_file(path)
    assert before.source == after.source
    assert before.revision_hash() != after.revision_hash()
    assert load_file(path).revision_hash() == after.revision_hash()
    # and so is that of a grandchild
    write("top.yaml", "steps: {a: {workflow: main.yaml}}")
    top = load_file(path.parent / "top.yaml")
    write("child.yaml", CHILD)
    assert load_file(path.parent / "top.yaml").revision_hash() != top.revision_hash()


def test_a_plan_keeps_the_hash_and_not_the_child(write):
    write("child.yaml", CHILD)
    spec = load_file(write("main.yaml", "steps: {a: {workflow: child.yaml}}"))
    again = WorkflowSpec.from_plan(spec.plan(), source=spec.source)
    assert again == replace(spec, children={}, warnings=())
    assert again.revision_hash() == spec.revision_hash()


def test_a_later_document():
    text = "steps:\n  a: {workflow: part, with: {n: 2}}\n---\nname: part\n" + CHILD
    spec = load_text(text, strict=True)
    part = spec.children["part"]
    assert part.source == "---\nname: part\n" + CHILD
    assert load_text(part.source).steps == part.steps
    assert spec.source == text
    assert spec.steps[0].workflow == {"name": "part", "hash": part.revision_hash()}


def test_a_later_document_runs_another_one():
    text = "steps: {a: {workflow: b}}\n---\nname: c\nsteps: {x: {run: x}}\n---\nname: b\nsteps: {y: {workflow: c}}\n"
    spec = load_text(text, strict=True)
    assert list(spec.children) == ["b"]
    assert list(spec.children["b"].children) == ["c"]


def test_a_document_that_no_step_runs_is_a_warning(refused):
    text = "steps: {a: {run: x}}\n---\nname: spare\nsteps: {b: {run: x}}\n"
    assert [w.code for w in load_text(text).warnings] == ["TRB129"]
    assert [p.code for p in refused(text, strict=True)] == ["TRB129"]


def test_every_other_name_is_left_to_the_submit():
    spec = load_text("steps: {a: {workflow: shop.train.v1, with: {anything: goes}}}")
    assert spec.steps[0].workflow == {"name": "shop.train.v1"}
    assert spec.children == {}


@pytest.mark.parametrize("suffix", ["", "/", "/../sub"])
def test_folders_and_missing_files(write, suffix):
    path = write("sub/main.yaml", f"steps: {{a: {{workflow: ./nowhere{suffix}/x.yaml}}}}")
    assert [p.code for p in problems_of(path)] == ["TRB160"]


def test_a_directory_and_a_file_that_is_not_text(write, tmp_path):
    (tmp_path / "d.yaml").mkdir()
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe")
    path = write(
        "main.yaml", "steps: {a: {workflow: d.yaml}, b: {workflow: b.yaml}, c: {workflow: ./main.yaml}}"
    )
    found = problems_of(path)
    assert [(p.code, p.column) for p in found] == [("TRB160", 23), ("TRB160", 46), ("TRB161", 69)]
    assert "is a directory" in found[0].message
    assert "not UTF-8" in found[1].message


def test_text_without_a_folder_names_no_files(refused_with, tmp_path):
    (tmp_path / "child.yaml").write_text(CHILD)
    text = "steps: {a: {workflow: ./child.yaml}}"
    refused_with(text, "TRB160")
    assert list(load_text(text, folder=tmp_path).children) == ["child"]


def test_faults_of_all_files_in_one_pass(write):
    write("one.yaml", "steps: {c: {run: x, needs: q}}\n")
    write("two.yaml", "steps: {c: {rum: x}}\n")
    path = write(
        "main.yaml", "steps:\n  b: {workflow: two.yaml}\n  a: {workflow: one.yaml}\n  c: {run: x, quue: x}\n"
    )
    found = problems_of(path)
    assert [(Path(p.file).name, p.line, p.code) for p in found] == [
        ("main.yaml", 4, "TRB102"),
        ("two.yaml", 1, "TRB102"),
        ("one.yaml", 1, "TRB104"),
    ]


def test_warnings_of_children_are_told_and_refuse_when_strict(write):
    write("child.yaml", "steps: {c: {task: mail}}")
    path = write("main.yaml", "steps: {a: {workflow: child.yaml}}")
    assert [w.code for w in load_file(path).warnings] == ["TRB122"]
    with pytest.raises(InvalidWorkflow):
        load_file(path, strict=True)


def test_a_cycle_of_files_shows_the_chain(write):
    write("b.yaml", "steps: {x: {workflow: sub/c.yaml}}")
    write("sub/c.yaml", "steps: {x: {workflow: ../a.yaml}}")
    found = problems_of(write("a.yaml", "steps: {x: {workflow: ./b.yaml}}"))
    assert [p.code for p in found] == ["TRB161"]
    shown = [Path(part.strip()).name for part in found[0].message.rpartition(": ")[2].split("->")]
    assert shown == ["a.yaml", "b.yaml", "c.yaml", "a.yaml"]
    assert Path(found[0].file).name == "c.yaml"


def test_a_link_to_itself_is_a_cycle(write, tmp_path):
    path = write("a.yaml", "steps: {x: {workflow: b.yaml}}")
    (tmp_path / "b.yaml").symlink_to(path)
    assert [p.code for p in problems_of(path)] == ["TRB161"]
    (tmp_path / "c.yaml").symlink_to(tmp_path / "c.yaml")
    assert [p.code for p in problems_of(write("d.yaml", "steps: {x: {workflow: c.yaml}}"))] == ["TRB160"]


def test_diamonds_are_loaded_once_and_end(write):
    for level in range(15):
        write(
            f"f{level}.yaml",
            f"steps: {{a: {{workflow: f{level + 1}.yaml}}, b: {{workflow: f{level + 1}.yaml}}}}",
        )
    write("f15.yaml", CHILD)
    spec = load_file(write("main.yaml", "steps: {a: {workflow: f0.yaml}, b: {workflow: f0.yaml}}"))
    assert spec.steps[0].workflow == spec.steps[1].workflow


def test_too_many_levels(write):
    for level in range(25):
        write(f"f{level}.yaml", f"steps: {{a: {{workflow: f{level + 1}.yaml}}}}")
    write("f25.yaml", CHILD)
    found = problems_of(write("main.yaml", "steps: {a: {workflow: f0.yaml}}"))
    assert [p.code for p in found] == ["TRB161"]
    assert "20 levels" in found[0].message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("with: {m: 1}", "has no input 'm'"),
        ("with: {n: x}", 'must be an integer, not "x"'),
        ("with: {n: [1, '${{ inputs.q }}']}", "undeclared input"),
        ("with: 3", "must be a mapping or one expression"),
    ],
)
def test_with_is_checked_against_the_inputs_of_the_child(refused, given, message):
    text = f"steps: {{a: {{workflow: c, {given}}}}}\n---\nname: c\n" + CHILD
    assert message in refused(text)[0].message


@pytest.mark.parametrize(
    "given", ["{}", "{n: 4}", "{n: '${{ inputs.x }}'}", "'${{ inputs.x }}'", "{n: null}"]
)
def test_with_that_fits(given):
    child = CHILD.replace("default: 1", "required: false")
    text = (
        f"inputs: {{x: {{type: object}}}}\nsteps: {{a: {{workflow: c, with: {given}}}}}\n---\nname: c\n"
        + child
    )
    assert load_text(text).children["c"].inputs["n"].required is False


def test_many_documents_and_many_steps_of_one_child_take_linear_time():
    parts = "".join(f"---\nname: p{n}\nsteps: {{a: {{run: x}}}}\n" for n in range(3_000))
    steps = "".join(f"  s{n}: {{workflow: p7}}\n" for n in range(3_000))
    text = f"x-filler: {'y' * 1_000_000}\nsteps:\n{steps}{parts}"
    # under a second; looking at the whole text once per document or step takes minutes
    assert cpu_seconds(lambda: load_text(text), enough=10) < 10
    spec = load_text(text)
    assert list(spec.children) == ["p7"]
    assert spec.children["p7"].source == "---\nname: p7\nsteps: {a: {run: x}}\n"

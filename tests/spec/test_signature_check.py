# ruff: noqa: E501 - a table reads best with one case a line
"""Steps against handlers: what they take, what they return. Every fault has its place."""

from __future__ import annotations

import time

import pytest
from pydantic import BaseModel, field_validator

from tests.spec.known import known, shop
from tributary_daemon.errors import InvalidWorkflow
from tributary_daemon.spec.builder import WorkflowBuilder, node_of
from tributary_daemon.spec.expressions import compile_expression
from tributary_daemon.spec.loader import load_text
from tributary_daemon.spec.nodes import Mapping, Scalar
from tributary_daemon.spec.problems import Problems
from tributary_daemon.spec.recheck import recheck
from tributary_daemon.spec.shapes import Gap, Shape, follow, words
from tributary_daemon.spec.signature_check import check_signatures
from tributary_daemon.spec.signatures import Listed
from tributary_daemon.spec.workflow import StepSpec, WorkflowSpec

INPUTS = """name: t.v1
inputs:
  n: {type: integer}
  text: {type: string}
  maybe: {type: number, required: false}
  kind: {type: choice, options: [gift, plain]}
  names: {type: list, items: string}
  any: {type: object}
steps:
  p: {task: shop.fetch_profile.v1, with: {id: u_1}}
  q: {task: shop.fetch_preferences.v1, with: {id: u_1}}
  f: {task: shop.find.v1, with: {query: x}}
  t: {task: shop.grow.v1, with: {label: x}}
  m: {task: shop.maybe.v1, with: {id: u_1}}
  b: {task: shop.pack.v1, with: {width: 1, label: ab}}
  c: {task: shop.collect.v1, with: {profiles: [], region: eu}}
"""
FIRST = INPUTS.count("\n") + 1


def refused(step, signatures):
    with pytest.raises(InvalidWorkflow) as caught:
        load_text(INPUTS + f"  x: {step}\n", file="f.yaml", signatures=signatures)
    return caught.value.problems


WRONG = [
    # step with a ^ where it points, code, part of the message, part of the hint
    ("{task: ^shop.resize.v1}", "TRB151", "`with` lacks 'width' (shop.resize.v1)", "it takes width, height"),
    ("{task: shop.resize.v1, with: ^{}}", "TRB151", "`with` lacks 'width'", None),
    ("{task: shop.resize.v1, with: {width: 1, ^wdth: 2}}", "TRB152", "unknown 'wdth'", "did you mean 'width'? it takes: width,"),
    ("{task: shop.resize.v1, with: {width: ^wide}}", "TRB153", "`with.width` must be an integer, not 'wide'", None),
    ("{task: shop.resize.v1, with: {width: ^1.5}}", "TRB153", "must be an integer, not 1.5", None),
    ("{task: shop.resize.v1, with: {width: ^[1]}}", "TRB153", "must be an integer, not a list", None),
    ("{task: shop.resize.v1, with: {width: ^null}}", "TRB153", "must be an integer, not nothing", None),
    ("{task: shop.resize.v1, with: {width: ^'${{ inputs.text }}'}}", "TRB153", "must be an integer, but the expression gives text", "fromJSON"),
    ("{task: shop.resize.v1, with: {width: ^'${{ inputs.n }}px'}}", "TRB153", "gives text", None),
    ("{task: shop.resize.v1, with: {width: ^'${{ inputs.names }}'}}", "TRB153", "gives a list", None),
    ("{task: shop.resize.v1, with: {width: ^'${{ steps.p.result }}'}}", "TRB153", "gives an object", None),
    ("{task: shop.resize.v1, with: {width: ^'${{ toJSON(inputs.any) }}'}}", "TRB153", "gives text", None),
    ("{task: shop.resize.v1, with: {width: ^'${{ hash(inputs.any) }}'}}", "TRB153", "gives text", None),
    ("{task: shop.resize.v1, with: {width: ^'${{ range(inputs.n) }}'}}", "TRB153", "gives a list", None),
    ("{task: shop.pack.v1, with: {width: 1, label: ^'${{ length(inputs.any) }}'}}", "TRB153", "gives a number", None),
    ("{task: shop.pack.v1, with: {width: 1, label: ^'${{ inputs.n + 1 }}'}}", "TRB153", "gives a number", None),
    ("{task: shop.resize.v1, with: {width: ^'${{ steps.p.result.name }}'}}", "TRB153", "gives text", None),
    ("{task: shop.pack.v1, with: {width: ^0, label: ab}}", "TRB153", "must be more than 0, not 0", None),
    ("{task: shop.pack.v1, with: {width: ^101, label: ab}}", "TRB153", "must be at most 100", None),
    ("{task: shop.pack.v1, with: {width: 1, label: ^a}}", "TRB153", "has 1 characters, at least 2", None),
    ("{task: shop.pack.v1, with: {width: 1, label: ^A1}}", "TRB153", "must match ^[a-z]+$", None),
    ("{task: shop.pack.v1, with: {width: 1, label: ab, size: ^m}}", "TRB153", "must be one of 's', 'l', not 'm'", None),
    ("{task: shop.pack.v1, with: {width: 1, label: ab, kind: ^m}}", "TRB153", "must be one of 'gift', 'plain'", None),
    ("{task: shop.pack.v1, with: {width: 1, label: ab, parts: [{city: x}, ^{}]}}", "TRB151", "`with.parts[1]` lacks 'city'", None),
    ("{task: shop.pack.v1, with: {width: '${{ inputs.n }}', label: ab, ^colour: x}}", "TRB152", "unknown 'colour'", None),
    ("{task: shop.collect.v1, with: {profiles: ^'${{ steps.p.result }}', region: eu}}", "TRB153", "must be a list", None),
    ("{task: shop.collect.v1, with: {profiles: [^'${{ steps.q.result }}'], region: eu}}", "TRB153", "lacks 'name': the expression gives an object with dark", None),
    ("{task: shop.collect.v1, with: {profiles: ^'${{ steps.f.result }}', region: eu}}", "TRB153", "items do not fit: each lacks 'name'", None),
    ("{task: shop.enrich.v1, with: {profile: ^'${{ steps.p.result.address }}', preferences: '${{ steps.q.result }}'}}", "TRB153", "lacks 'name'", None),
    ("{task: shop.pack.v1, with: ^'${{ steps.p.result }}'}", "TRB153", "`with` lacks 'width'", None),
    ("{task: shop.anything.v1, with: {x: '^${{ steps.p.result.nme }}'}}", "TRB154", "`steps.p.result` has no 'nme' (shop.fetch_profile.v1 does not return it)", "did you mean 'name'? it has: name,"),
    ("{task: shop.anything.v1, with: {x: 'a ^${{ steps.p.result.address.street }}'}}", "TRB154", "`steps.p.result.address` has no 'street'", "city"),
    ("{task: shop.anything.v1, with: {x: '^${{ steps.p.result.name.first }}'}}", "TRB154", "`steps.p.result.name` is text, it has no 'first'", None),
    ("{task: shop.anything.v1, with: {x: '^${{ steps.f.result.id }}'}}", "TRB154", "`steps.f.result` is a list, it has no 'id'", None),
    ("{task: shop.anything.v1, with: {x: '^${{ steps.f.result[0].name }}'}}", "TRB154", "`steps.f.result.0` has no 'name'", "id"),
    ("{task: shop.anything.v1, with: {x: '^${{ steps.f.result.*.name }}'}}", "TRB154", "has no 'name'", "id"),
    ("{task: shop.anything.v1, with: {x: '^${{ steps.m.result.nme }}'}}", "TRB154", "has no 'nme'", "name"),
    ("{task: shop.anything.v1, with: {x: '^${{ steps.t.result.children[0].children[1].leaf }}'}}", "TRB154", "has no 'leaf'", "label, children"),
    ("{task: shop.anything.v1, with: {x: '^${{ steps.c.result.eu.x }}'}}", "TRB154", "is an integer, it has no 'x'", None),
    ("{task: shop.anything.v1, with: {x: '^${{ inputs.text.x }}'}}", "TRB154", "`inputs.text` is text", None),
    ("{task: shop.anything.v1, with: {x: '^${{ inputs.names[0].x }}'}}", "TRB154", "`inputs.names.0` is text", None),
    ("{task: shop.anything.v1, with: {x: \"^${{ format('{0}', steps.p.result.nme) }}\"}}", "TRB154", "has no 'nme'", None),
    ('{task: shop.anything.v1, with: {x: "^${{ inputs.any.x ?? steps.p.result.nme }}"}}', "TRB154", "has no 'nme'", None),
    ("{run: x, env: {A: '^${{ steps.p.result.nme }}'}}", "TRB154", "has no 'nme'", None),
]  # fmt: skip


@pytest.mark.parametrize("exact", [True, False], ids=["handlers", "schemas"])
@pytest.mark.parametrize(("step", "code", "message", "hint"), WRONG)
def test_what_does_not_fit_is_refused_at_its_place(step, code, message, hint, exact):
    found = refused(step.replace("^", "", 1), shop(exact=exact))
    column = len("  x: ") + step.index("^") + 1
    assert [(each.code, each.line, each.column) for each in found] == [(code, FIRST, column)], found
    assert message in found[0].message
    assert hint is None or hint in found[0].hint


RIGHT = [
    "{task: shop.resize.v1, with: {width: 1, ratio: 2, exact: true}}",
    "{task: shop.resize.v1, with: {width: '5', ratio: '1.5', exact: 'yes'}}",
    "{task: shop.resize.v1, with: {width: '${{ inputs.n }}', ratio: '${{ inputs.n }}'}}",
    "{task: shop.resize.v1, with: {width: '${{ inputs.maybe }}'}}",
    "{task: shop.resize.v1, with: {width: '${{ inputs.any.x.y }}', exact: '${{ !inputs.n }}'}}",
    "{task: shop.resize.v1, with: {width: '${{ fromJSON(inputs.text) }}'}}",
    "{task: shop.resize.v1, with: '${{ inputs.any }}'}",
    "{task: shop.resize.v1, with: {width: '${{ length(inputs.any) * 2 }}', ratio: '${{ inputs.n / 2 }}'}}",
    "{task: shop.pack.v1, with: {width: 1, label: '${{ hash(inputs.any) }}', due: '${{ today() }}'}}",
    "{task: shop.pack.v1, with: {width: 1, label: ab, size: l, due: 2026-01-01, kind: '${{ inputs.kind }}'}}",
    "{task: shop.pack.v1, with: '${{ steps.b.result }}'}",
    "{task: shop.collect.v1, with: {profiles: ['${{ steps.p.result }}', '${{ steps.m.result }}'], region: '${{ inputs.text }}'}}",
    "{task: shop.either.v1, with: {value: 1}}",
    "{task: shop.either.v1, with: {value: {id: x}}}",
    "{task: shop.enrich.v1, with: {profile: '${{ steps.p.result }}', preferences: {dark: true}}}",
    "{task: shop.anything.v1, with: {x: '${{ steps.p.result.extra.whatever.it.is }}'}}",
    "{task: shop.anything.v1, with: {x: '${{ steps.P.result.ADDRESS.City }}'}}",
    "{task: shop.anything.v1, with: {x: \"${{ steps.p.result.nme ?? 'nobody' }}\"}}",
    "{task: shop.anything.v1, with: {x: '${{ steps.p.result.tags[0] }}', y: '${{ steps.t.result.children.*.label }}'}}",
    "{task: shop.anything.v1, with: {x: '${{ steps.c.result.eu }}', y: '${{ steps.p.state }}'}}",
    "{task: shop.unknown.v1, with: {x: '${{ steps.p.result.name }}'}}",
    "{task: shop.anything.v1, with: {x: '${{ steps.x2.result.any.thing }}'}}\n  x2: {task: foreign.v1}",
]  # fmt: skip


@pytest.mark.parametrize("exact", [True, False], ids=["handlers", "schemas"])
@pytest.mark.parametrize("step", RIGHT)
def test_what_may_fit_is_accepted(step, exact):
    assert load_text(INPUTS + f"  x: {step}\n", signatures=shop(exact=exact)).warnings == ()


def test_the_types_of_a_handler_know_best():
    # a validator of the model splits this text, which its schema does not tell
    written = "{task: shop.pack.v1, with: {width: 1, label: ab, words: 'a,b'}}"
    assert load_text(INPUTS + f"  x: {written}\n", signatures=shop()).steps
    partly = "{task: shop.pack.v1, with: {width: '${{ inputs.n }}', label: ab, words: 'a,b'}}"
    assert load_text(INPUTS + f"  x: {partly}\n", signatures=shop()).steps
    # and they refuse what no schema tells
    found = refused("{task: shop.pack.v1, with: {width: 1, label: ab, due: soon}}", shop())
    assert [(each.code, each.column) for each in found] == [("TRB153", 60)]
    assert "`with.due`: Input should be a valid date" in found[0].message


def test_validators_that_break_are_no_internal_error():
    class Broken(BaseModel):
        x: int

        @field_validator("x")
        @classmethod
        def look(cls, value):
            raise RuntimeError("cannot look")

    def work(args: Broken) -> None: ...

    found = refused("{task: shop.work.v1, with: {x: 1}}", Listed([known(work, exact=True, Broken=Broken)]))
    assert [each.code for each in found] == ["TRB153"]
    assert "its types cannot read it: RuntimeError: cannot look" in found[0].message


def test_all_faults_of_all_kinds_come_in_one_pass():
    text = (
        INPUTS
        + "  x: {task: shop.resize.v1, with: {width: wide, hight: 2}, neds: p}\n  y: {task: shop.resize.v1}\n"
    )
    with pytest.raises(InvalidWorkflow) as caught:
        load_text(text, signatures=shop())
    assert [each.code for each in caught.value.problems] == ["TRB153", "TRB152", "TRB102", "TRB151"]


def test_the_result_of_the_workflow_is_checked_too():
    with pytest.raises(InvalidWorkflow, match=r"`steps\.p\.result` has no 'nme'"):
        load_text(INPUTS + "result: {a: '${{ steps.p.result.nme }}'}\n", signatures=shop())


def test_an_unknown_handler_is_a_warning_where_all_are_known():
    text = INPUTS + "  x: {task: shop.fetch_profil.v1}\n"
    assert load_text(text, signatures=shop()).warnings == ()
    (warning,) = load_text(text, signatures=shop(complete=True)).warnings
    assert (warning.code, warning.line, warning.column) == ("TRB150", FIRST, 13)
    assert "did you mean 'shop.fetch_profile.v1'?" in warning.hint
    with pytest.raises(InvalidWorkflow):
        load_text(text, signatures=shop(complete=True), strict=True)


def test_without_signatures_nothing_is_said():
    assert load_text(INPUTS + "  x: {task: shop.resize.v1, with: {width: wide}}\n").warnings == ()


def test_a_workflow_is_checked_again_when_more_is_known():
    spec = load_text(INPUTS + "  x: {task: shop.resize.v1, with: {width: wide}}\n")
    (found,) = recheck(spec, shop(exact=False))
    assert (found.code, found.line, found.column) == ("TRB153", FIRST, 43)
    built = WorkflowBuilder("t.v1").add("a", "shop.resize.v1", {"width": "wide"}).build()
    (found,) = recheck(built, shop(exact=False))
    assert found.message.startswith("steps.a.with.width: `with.width` must be an integer")
    assert recheck(built, shop(exact=False), elsewhere={"a"}) == ()


@pytest.mark.parametrize(
    "lines",
    [
        "with: |\n      ${{ inputs.sizes[0] }}\n",
        "with: {width: 3}\n    for_each: |\n      ${{ inputs.sizes }}\n",
    ],
)
def test_an_expression_in_a_block_is_read_as_one_beside_its_key(lines):
    text = "inputs: {sizes: {type: list, items: object}}\nsteps:\n  x:\n    task: shop.resize.v1\n    "
    (step,) = load_text(text + lines, signatures=shop()).steps
    assert (step.for_each or step.with_) == lines.split("|")[1].strip()


def fan_out(**fields):
    """A fan-out over what `find` returns, and a step behind it, checked as they will be written."""
    steps = Mapping("steps")
    written = {
        "f": {"task": "shop.find.v1", "with": {"query": "x"}},
        "p": {"task": "shop.fetch_profile.v1", "for_each": "${{ steps.f.result }}", "with": "${{ item }}"},
        **fields,
    }
    problems = Problems("", "")
    for step_id, step in written.items():
        steps.pairs[step_id] = (Scalar(step_id, step_id), node_of(step, problems))
    specs = [
        StepSpec(
            id=step_id,
            ordinal=number,
            name=step["task"],
            for_each=step.get("for_each"),
            aggregate=step.get("aggregate") and {"name": step["aggregate"]["task"], "with": {}},
        )
        for number, (step_id, step) in enumerate(written.items(), 1)
    ]
    nodes = {step_id: node for step_id, (_, node) in steps.pairs.items()}
    check_signatures(WorkflowSpec(name="t", steps=tuple(specs)), nodes, None, shop(exact=False), problems)
    try:
        problems.finish(strict=False)
    except InvalidWorkflow as error:
        return [problem.message for problem in error.problems]
    return []


def reading(source):
    return {"task": "shop.anything.v1", "with": {"x": f"${{{{ {source} }}}}"}}


@pytest.mark.parametrize(
    "source",
    [
        "steps.p.result[0].name",
        "steps.p.items.*.result.name",
        "steps.p.items[0].state",
        "steps.p.result.*.name",
    ],
)
def test_the_results_of_a_fan_out_are_a_list(source):
    assert fan_out(x=reading(source)) == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("steps.p.result.name", "`steps.p.result` is a list, it has no 'name'"),
        ("steps.p.items.*.result.nme", "`steps.p.items.*.result` has no 'nme' (shop.fetch_profile.v1"),
        ("steps.p.items.*.reslt", "`steps.p.items.*` has no 'reslt'"),
        ("steps.p.items.name", "`steps.p.items` is a list"),
    ],
)
def test_what_a_fan_out_lacks_is_named(source, message):
    (found,) = fan_out(x=reading(source))
    assert message in found


def test_items_have_the_type_of_the_list():
    assert fan_out(
        p={"task": "shop.resize.v1", "for_each": "${{ steps.f.result }}", "with": {"width": "${{ item }}"}}
    ) == ["with.width: `with.width` must be an integer, but the expression gives an object (shop.resize.v1)"]
    (found,) = fan_out(
        x={"task": "shop.anything.v1", "for_each": "${{ steps.f.result }}", "with": {"y": "${{ item.nme }}"}}
    )
    assert "`item` has no 'nme'" in found
    (found,) = fan_out(x={"task": "shop.anything.v1", "for_each": "${{ steps.p.result[0].name }}"})
    assert "`for_each` must be a list, but the expression gives text" in found
    assert (
        fan_out(
            x={
                "task": "shop.resize.v1",
                "for_each": [1, 2],
                "with": {"width": "${{ item }}", "height": "${{ index }}"},
            }
        )
        == []
    )


def test_an_aggregate_is_checked_like_a_step_and_its_result_is_the_result():
    step = {
        "task": "shop.fetch_profile.v1",
        "for_each": "${{ steps.f.result }}",
        "with": "${{ item }}",
        "aggregate": {"task": "shop.collect.v1", "with": {"profiles": "${{ steps.p.items.*.result }}"}},
    }
    (found,) = fan_out(p=step)
    assert "`with` lacks 'region' (shop.collect.v1)" in found
    step["aggregate"]["with"]["region"] = "eu"
    assert fan_out(p=step, x=reading("steps.p.result.anything")) == []
    (found,) = fan_out(p=step, x=reading("steps.p.result.anything.more"))
    assert "is an integer" in found


SCHEMA = {
    "anyOf": [{"type": "null"}, {"$ref": "#/$defs/Node"}],
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {"next": {"$ref": "#/$defs/Node"}, "n": {"type": ["integer", "null"]}},
        },
        "Loop": {"$ref": "#/$defs/Loop"},
    },
}


def parts(source):
    return compile_expression(f"inputs.{source}").paths[0].parts


def test_paths_through_schemas_of_any_kind():
    whole = Shape.of(SCHEMA)
    assert words(follow(whole, parts("next.next.n"))) == "an integer or null"
    gap = follow(whole, parts("next.m"))
    assert isinstance(gap, Gap)
    assert (gap.part, gap.at, gap.known) == ("m", ("next",), ("next", "n"))
    for schema in (
        True,
        {},
        {"$ref": "#/$defs/Loop", **SCHEMA},
        {"$ref": "other.json"},
        {"allOf": [{}, {}]},
        {"type": "object"},
        {"not": {}},
    ):
        assert words(follow(Shape.of(schema), parts("a.b"))) == "anything"
    first = {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]}
    assert words(follow(Shape.of(first), parts("a[1]")[1:])) == "an integer"
    wide = {"oneOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"a": {"type": "integer"}}}]}
    assert words(follow(Shape.of(wide), ("a",))) == "text or an integer"


def test_a_thousand_steps_take_little_longer_with_checks():
    steps = "".join(
        f"  p{n}: {{task: shop.fetch_profile.v1, with: {{id: u{n}}}}}\n"
        f"  q{n}: {{task: shop.fetch_preferences.v1, with: {{id: '${{{{ steps.p{n}.result.name }}}}'}}}}\n"
        f"  e{n}: {{task: shop.enrich.v1, with: {{profile: '${{{{ steps.p{n}.result }}}}', preferences: '${{{{ steps.q{n}.result }}}}'}}}}\n"
        for n in range(333)
    )
    spent = {}
    for signatures in (None, shop(), None, shop()):
        start = time.process_time()
        load_text(f"name: t.v1\nsteps:\n{steps}", signatures=signatures)
        spent.setdefault(signatures is None, []).append(time.process_time() - start)
    # 41 ms against 27 where it was measured
    assert min(spent[False]) < 4 * min(spent[True]), spent


def test_a_workflow_in_brackets_is_checked_again_as_any():
    spec = load_text("{steps: {x: {task: shop.resize.v1, with: {width: wide}}}}")
    (found,) = recheck(spec, shop(exact=False))
    assert (found.code, found.line, found.column) == ("TRB153", 1, 50)

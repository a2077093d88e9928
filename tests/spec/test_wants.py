# ruff: noqa: E501 - a table reads best with one case a line
"""Steps that say `want`: what they become, and what is said about those that cannot become anything."""

from __future__ import annotations

import pytest

from tests.spec.known import Box, Profile, enrich, fetch_profile, known, shop
from tributary_daemon.errors import InvalidWorkflow
from tributary_daemon.spec.builder import node_of
from tributary_daemon.spec.loader import load_text
from tributary_daemon.spec.nodes import to_json
from tributary_daemon.spec.problems import Problems
from tributary_daemon.spec.signatures import Listed
from tributary_daemon.spec.wants import expand_wants, snake

HEAD = "name: t.v1\ninputs: {id: {type: string}, user: {type: object}}\nsteps:\n"


def load(steps, signatures=None, **options):
    return load_text(HEAD + steps, file="f.yaml", signatures=signatures or shop(), **options)


def refused(steps, signatures=None):
    with pytest.raises(InvalidWorkflow) as caught:
        load(steps, signatures)
    return caught.value.problems


def expanded(steps):
    problems = Problems("", "")
    root = node_of({"steps": steps}, problems)
    found = to_json(expand_wants(root, ["steps"], shop(), problems)[0])["steps"]
    assert problems.finish(strict=True) == ()
    return found


def test_the_last_step_carries_the_id_and_the_others_are_named_after_it():
    spec = load(
        "  user: {want: EnrichedUser, given: {UserID: {id: '${{ inputs.id }}'}}}\n"
        "  after: {task: shop.anything.v1, with: {x: '${{ steps.user.result.profile.name }}'}}\n"
    )
    assert [(step.id, step.name, step.needs) for step in spec.steps] == [
        ("user_fetch_profile", "shop.fetch_profile.v1", ()),
        ("user_fetch_preferences", "shop.fetch_preferences.v1", ()),
        ("user", "shop.enrich.v1", ("user_fetch_profile", "user_fetch_preferences")),
        ("after", "shop.anything.v1", ("user",)),
    ]
    assert spec.step("user").with_ == {
        "profile": "${{ steps.user_fetch_profile.result }}",
        "preferences": "${{ steps.user_fetch_preferences.result }}",
    }
    assert spec.step("user").implied == {"user_fetch_profile", "user_fetch_preferences"}
    assert spec.step("user_fetch_profile").with_ == {"id": "${{ inputs.id }}"}
    assert spec.inferred == ("user",)
    assert [step["name"] for step in spec.plan()["steps"]] == [step.name for step in spec.steps]


def test_a_reference_in_given_is_a_need():
    spec = load(
        "  user: {want: EnrichedUser, given: {UserID: '${{ steps.ids.result[0] }}'}}\n  ids: {task: shop.find.v1, with: {query: x}}\n"
    )
    assert spec.step("user_fetch_profile").needs == ("ids",)


def test_options_hold_for_every_step_and_needs_for_those_that_start():
    spec = load(
        "  first: {run: x}\n"
        "  user:\n"
        "    want: EnrichedUser\n"
        "    given: {UserID: {id: a}}\n"
        "    needs: first\n"
        "    run_after: 5m\n"
        "    queue: slow\n"
        "    max_attempts: 7\n"
        "    continue_on_error: true\n"
        "    labels: {team: data}\n"
        "    description: Who it is\n"
        "    x-note: free\n"
    )
    *starts, last = spec.steps[1:]
    assert all(step.options == {"queue": "slow", "max_attempts": 7} for step in (*starts, last))
    assert all(step.continue_on_error and step.labels == {"team": "data"} for step in (*starts, last))
    assert [(step.needs, step.run_after, step.description) for step in starts] == [
        (("first",), 300.0, None)
    ] * 2
    assert (last.needs, last.run_after, last.description) == (
        tuple(step.id for step in starts),
        None,
        "Who it is",
    )


def test_ids_stay_unique():
    spec = load(
        "  user: {want: EnrichedUser, given: {UserID: {id: a}}}\n"
        "  user_fetch_profile: {run: x}\n"
        "  user_fetch_preferences: {want: Preferences, given: {UserID: {id: b}}}\n"
    )
    assert {step.id for step in spec.steps} == {
        "user", "user_fetch_profile", "user_fetch_profile_2", "user_fetch_preferences", "user_fetch_preferences_2",
    }  # fmt: skip
    (long,) = [
        step.id for step in load(f"  {'i' * 100}: {{want: Profile, given: {{UserID: {{id: a}}}}}}\n").steps
    ]
    assert long == "i" * 100
    names = [
        step.id
        for step in load(f"  {'i' * 100}: {{want: EnrichedUser, given: {{UserID: {{id: a}}}}}}\n").steps
    ]
    assert len(set(names)) == 3
    assert max(map(len, names)) == 100


def test_a_batch_becomes_fan_outs():
    assert expanded({"all": {"want": "list[EnrichedUser]", "given": {"list[UserID]": "${{ inputs.ids }}"}, "max_parallel": 5}}) == {
        "all_fetch_profile": {"task": "shop.fetch_profile.v1", "for_each": "${{ inputs.ids }}", "with": "${{ item }}", "max_parallel": 5},
        "all_fetch_preferences": {"task": "shop.fetch_preferences.v1", "for_each": "${{ inputs.ids }}", "with": "${{ item }}", "max_parallel": 5},
        "all": {
            "task": "shop.enrich.v1",
            "for_each": "${{ steps.all_fetch_profile.result }}",
            "with": {"profile": "${{ item }}", "preferences": "${{ steps.all_fetch_preferences.result[index] }}"},
            "max_parallel": 5,
        },
    }  # fmt: skip


def test_items_that_fail_are_left_out_of_what_follows():
    written = {
        "want": "list[EnrichedUser]",
        "given": {"list[UserID]": "${{ inputs.ids }}"},
        "tolerate": "10%",
        "fail_fast": False,
        "cache": {"scope": "run"},
    }
    options = {"tolerate": "10%", "fail_fast": False, "cache": {"scope": "run"}}
    steps = expanded({"all": written})
    assert steps["all_fetch_profile"] == {
        "task": "shop.fetch_profile.v1",
        "for_each": "${{ inputs.ids }}",
        "with": "${{ item }}",
        **options,
    }
    assert steps["all"] == {
        "task": "shop.enrich.v1",
        "for_each": "${{ steps.all_fetch_profile.result }}",
        "if": "!same(steps.all_fetch_preferences.result[index], null) && !same(item, null)",
        "with": {"profile": "${{ item }}", "preferences": "${{ steps.all_fetch_preferences.result[index] }}"},
        **options,
    }  # fmt: skip


def test_who_takes_a_list_with_gaps_says_so():
    def ranked(profiles: list[Profile | None]) -> Box: ...
    def plain(profiles: list[Profile]) -> Box: ...

    steps = "  all: {want: Box, given: {'list[UserID]': []}, tolerate: 1}\n"
    handlers = [known(fetch_profile, exact=True)]
    (found,) = refused(steps, Listed([*handlers, known(plain, exact=True)]))
    assert found.code == "TRB181"
    assert (
        "shop.plain.v1 (profiles) takes list[tests.spec.known.Profile], of which items may fail"
        in found.message
    )
    assert found.hint == "declare profiles as list[Profile | None]"
    spec = load(steps, Listed([*handlers, known(ranked, exact=True)]))
    assert spec.step("all").with_ == {"profiles": "${{ steps.all_fetch_profile.result }}"}
    # with a cache alone no item may fail
    load(steps.replace("tolerate: 1", "cache: {scope: run}"), Listed([*handlers, known(plain, exact=True)]))


def test_given_values_stand_where_they_are_taken():
    # `collect` makes no type with a name, so what it takes is asked for one by one
    assert expanded(
        {"all": {"want": "list[Profile]", "given": {"list[UserID]": [{"id": "a"}, {"id": "b"}]}}}
    ) == {
        "all": {
            "task": "shop.fetch_profile.v1",
            "for_each": [{"id": "a"}, {"id": "b"}],
            "with": "${{ item }}",
        }
    }


def test_steps_without_a_want_stay_the_same_object():
    node = node_of({"steps": {"a": {"task": "x.v1"}}}, Problems("", ""))
    assert expand_wants(node, ["steps"], shop(), Problems("", "")) == (node, ())


def test_a_later_level_is_asked_only_when_the_first_is_not_enough():
    asked = []

    class Two(Listed):
        def levels(self):
            asked.append("here")
            yield [known(enrich, exact=True), known(fetch_profile, exact=True)]
            asked.append("registry")
            yield from super().levels()

    assert len(load("  u: {want: Profile, given: {UserID: {id: a}}}\n", Two([])).steps) == 1
    assert asked == ["here"]
    more = Two(shop().levels().__next__())
    assert len(load("  u: {want: EnrichedUser, given: {UserID: {id: a}}}\n", more).steps) == 3
    assert asked == ["here", "here", "registry"]


REFUSED = [
    # step with a ^ where it points, code, part of the message, part of the hint
    ("{want: ^Enriched}", "TRB155", "no handler takes or makes a type Enriched", "did you mean 'EnrichedUser'? known types: tests.spec.known.Box"),
    ("{want: shop.^EnrichedUser}", "TRB155", "shop.EnrichedUser", "did you mean 'EnrichedUser'?"),
    ("{want: EnrichedUser, given: {^UserId: {}}}", "TRB155", "a type UserId", "did you mean 'UserID'?"),
    ("{want: ^EnrichedUser}", "TRB157", "no handler makes tests.spec.known.UserID, asked for by shop.fetch_profile.v1 and", "given:"),
    ("{want: ^'list[EnrichedUser]', given: {UserID: {id: a}}}", "TRB159", "has no list to start from", "list[tests.spec.known.Profile]"),
    ("{want: ^[a]}", "TRB108", "`want` must be the name of a type, not a list", "want: shop.EnrichedUser"),
    ("{want: '^${{ inputs.id }}'}", "TRB136", "`want` cannot hold an expression", None),
    ("{want: EnrichedUser, given: ^UserID}", "TRB108", "`given` must be a mapping of types", None),
    ("{want: EnrichedUser, ^with: {}}", "TRB123", "`with` does not go with `want`", "given, if, queue"),
    ("{want: EnrichedUser, cache: {scope: run, ^key: a}}", "TRB123", "`cache.key` does not go with `want`", "told apart by its own input"),
    ("{want: EnrichedUser, tolerate: 1, ^if: inputs.id}", "TRB123", "`if` does not go with `want` and `tolerate`", "ask in a step before"),
    ("{^want: EnrichedUser, task: a.v1}", "TRB107", "has `task` and `want`", None),
    ("{want: Profile, given: {UserID: ^{}}}", "TRB151", "`with` lacks 'id' (shop.fetch_profile.v1)", None),
    ("{want: Profile, given: {UserID: {id: ^5}}}", "TRB153", "`with.id` must be text, not 5", None),
    ("{want: EnrichedUser, given: {UserID: '^${{ inputs.nobody }}'}}", "TRB132", "undeclared input 'nobody'", None),
]  # fmt: skip


@pytest.mark.parametrize(("step", "code", "message", "hint"), REFUSED)
def test_what_cannot_become_a_graph_is_refused_at_its_place(step, code, message, hint):
    found = [each for each in refused(f"  user: {step.replace('^', '', 1)}\n") if each.severity == "error"]
    column = len("  user: ") + step.index("^") + 1
    if step.startswith("{want: shop."):
        column -= len("shop.")
    assert {(each.code, each.line, each.column) for each in found} == {(code, 4, column)}, found
    assert message in found[0].message
    assert hint is None or hint in found[0].hint


def test_two_handlers_of_one_type_are_both_named():
    twin = known(fetch_profile, exact=True)
    other = type(twin)("shop.old.v1", twin.input_schema, twin.output_schema)
    (found,) = refused("  u: {want: Profile, given: {UserID: {id: a}}}\n", Listed([twin, other]))
    assert found.code == "TRB156"
    assert "2 handlers make tests.spec.known.Profile: shop.fetch_profile.v1 and shop.old.v1" in found.message


def test_a_cycle_is_named():
    there, back = known(fetch_profile, exact=True), known(fetch_profile, exact=True)
    back = type(back)("shop.back.v1", there.output_schema, there.input_schema)
    (found,) = refused("  u: {want: Profile}\n", Listed([there, back]))
    assert found.code == "TRB158"
    assert found.message.count("known.Profile") == 2


def test_a_short_name_that_may_mean_two_types_is_refused():
    first = known(fetch_profile, exact=True)
    second = type(first)("crm.fetch.v1", {}, {"x-trib-type": "crm.Profile"})
    (found,) = refused("  u: {want: Profile, given: {UserID: {id: a}}}\n", Listed([first, second]))
    assert found.message == "Profile may mean crm.Profile or tests.spec.known.Profile"


def test_what_is_given_for_nothing_is_a_warning():
    spec = load("  u: {want: Profile, given: {UserID: {id: a}, Preferences: {dark: true}}}\n")
    (warning,) = spec.warnings
    assert warning.message == "nothing on the way to Profile takes tests.spec.known.Preferences"


def test_without_any_handlers_it_says_where_to_get_them():
    with pytest.raises(InvalidWorkflow) as caught:
        load_text(HEAD + "  u: {want: Profile}\n")
    (found,) = caught.value.problems
    assert (found.code, found.line, found.column) == ("TRB155", 4, 13)
    assert "--import MODULE" in found.hint
    (found,) = refused("  u: {want: Profile}\n", Listed([]))
    assert "--import MODULE" in found.hint


def test_steps_that_refer_to_a_want_with_a_fault_are_no_further_faults():
    found = refused("  u: {want: Nobody}\n  after: {run: x, needs: u, env: {A: '${{ steps.u.result }}'}}\n")
    assert [each.code for each in found] == ["TRB155"]


@pytest.mark.parametrize(
    ("word", "made"),
    [
        ("EnrichedUser", "enriched_user"),
        ("UserID", "user_id"),
        ("fetch-user", "fetch_user"),
        ("HTTPPage2", "httppage2"),
    ],
)
def test_snake(word, made):
    assert snake(word) == made


def test_a_batch_in_a_file_and_a_graph_in_a_hook():
    spec = load(
        "  ids: {task: shop.find.v1, with: {query: x}}\n"
        "  all: {want: 'list[EnrichedUser]', given: {'list[UserID]': '${{ steps.ids.result }}'}, max_parallel: 5}\n"
        "  one: {task: shop.anything.v1, with: {x: '${{ steps.all.items.*.result.profile }}', y: '${{ steps.all.result[0].profile.name }}'}}\n"
        "finally:\n"
        "  who: {want: EnrichedUser, given: {UserID: {id: a}}}\n"
    )
    assert [(step.id, step.needs, step.for_each, step.max_parallel) for step in spec.steps[1:4]] == [
        ("all_fetch_profile", ("ids",), "${{ steps.ids.result }}", 5),
        ("all_fetch_preferences", ("ids",), "${{ steps.ids.result }}", 5),
        ("all", ("all_fetch_profile", "all_fetch_preferences"), "${{ steps.all_fetch_profile.result }}", 5),
    ]
    assert [(step.id, step.hook) for step in spec.steps[-3:]] == [
        ("who_fetch_profile", "finally"), ("who_fetch_preferences", "finally"), ("who", "finally"),
    ]  # fmt: skip
    assert spec.inferred == ("all", "who")
    found = refused(
        "  ids: {task: shop.find.v1, with: {query: x}}\n"
        "  all: {want: 'list[Profile]', given: {'list[UserID]': '${{ steps.ids.result }}'}}\n"
        "  one: {task: shop.anything.v1, with: {x: '${{ steps.all.result.name }}'}}\n"
    )
    assert [each.code for each in found] == ["TRB154"]
    assert "steps.all.items.*.result.name" in found[0].hint

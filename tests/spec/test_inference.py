# ruff: noqa: E501 - a table reads best with one case a line
"""From given types to a wanted one, as values: which handlers are called, with what, and why not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tributary_daemon.spec.inference import infer
from tributary_daemon.spec.makers import Maker, Parameter, resolve_type


def maker(name, makes, **takes):
    """``p="T"`` is a parameter, ``p="T?"`` one with a default, ``p=None`` one without a named type."""
    parameters = [
        Parameter(word, kind and kind.rstrip("?"), not (kind or "").endswith("?"))
        for word, kind in takes.items()
    ]
    return Maker(name, makes, tuple(parameters))


PROFILE = [
    maker("profile", "Profile", user="UserID"),
    maker("taste", "Taste", user="UserID"),
    maker("enrich", "Enriched", profile="Profile", taste="Taste"),
    maker("stats", "Stats", users="list[Enriched]"),
    maker("rank", "Ranked", user="Enriched", stats="Stats"),
    maker("mail", "Sent", user="Enriched"),
]


def told(wanted, given_types, makers):
    found = infer(wanted, given_types, makers)
    assert found.faults == []
    return [(call.makes, call.maker.name, call.takes, call.over) for call in found.calls]


def refused(wanted, given_types, makers):
    found = infer(wanted, given_types, makers)
    assert found.faults
    return [(fault.kind, fault.message) for fault in found.faults]


def test_only_what_leads_to_the_wanted_type_is_called_once():
    assert told("Enriched", ["UserID"], PROFILE) == [
        ("Profile", "profile", {"user": "UserID"}, None),
        ("Taste", "taste", {"user": "UserID"}, None),
        ("Enriched", "enrich", {"profile": "Profile", "taste": "Taste"}, None),
    ]


def test_a_given_type_replaces_its_handler():
    assert [name for _, name, _, _ in told("Enriched", ["UserID", "Profile"], PROFILE)] == ["taste", "enrich"]
    assert infer("Enriched", ["Profile", "Taste", "UserID"], PROFILE).unused == ["UserID"]


def test_a_list_is_made_item_by_item_and_aggregated_once():
    assert told("Stats", ["list[UserID]"], PROFILE) == [
        ("list[Profile]", "profile", {"user": "list[UserID]"}, "list[UserID]"),
        ("list[Taste]", "taste", {"user": "list[UserID]"}, "list[UserID]"),
        ("list[Enriched]", "enrich", {"profile": "list[Profile]", "taste": "list[Taste]"}, "list[Profile]"),
        ("Stats", "stats", {"users": "list[Enriched]"}, None),
    ]


def test_an_aggregate_is_shared_by_all_items():
    calls = told("list[Ranked]", ["list[UserID]"], PROFILE)
    assert calls[-1] == (
        "list[Ranked]",
        "rank",
        {"user": "list[Enriched]", "stats": "Stats"},
        "list[Enriched]",
    )
    assert [makes for makes, *_ in calls].count("Stats") == 1


def test_a_single_given_value_is_the_same_for_all_items():
    makers = [maker("fetch", "Page", url="Url", login="Login")]
    assert told("list[Page]", ["list[Url]", "Login"], makers) == [
        ("list[Page]", "fetch", {"url": "list[Url]", "login": "Login"}, "list[Url]")
    ]


def test_a_list_that_a_handler_returns_is_gone_over():
    makers = [
        maker("find", "list[Url]", site="Site"),
        maker("login", "Login", site="Site"),
        maker("fetch", "Page", url="Url", login="Login"),
        maker("bundle", "Book", pages="list[Page]"),
    ]
    assert told("Book", ["Site"], makers) == [
        ("list[Url]", "find", {"site": "Site"}, None),
        ("Login", "login", {"site": "Site"}, None),
        ("list[Page]", "fetch", {"url": "list[Url]", "login": "Login"}, "list[Url]"),
        ("Book", "bundle", {"pages": "list[Page]"}, None),
    ]


def test_of_a_value_and_a_list_of_the_same_type_the_list_is_gone_over():
    makers = [
        maker("users", "list[User]", session="Session"),
        maker("me", "User", session="Session"),
        maker("profile", "Profile", user="User"),
        maker("report", "Report", profiles="list[Profile]"),
    ]
    assert [call[:2] for call in told("Report", ["Session"], makers)] == [
        ("list[User]", "users"),
        ("list[Profile]", "profile"),
        ("Report", "report"),
    ]
    assert [call[1] for call in told("Profile", ["Session"], makers)] == ["me", "profile"]


def test_a_parameter_with_a_default_is_filled_where_that_is_possible():
    makers = [
        maker("taste", "Taste", key="Key"),
        maker("enrich", "Enriched", user="UserID", taste="Taste?", hint="Hint?"),
    ]
    assert told("Enriched", ["UserID"], makers) == [("Enriched", "enrich", {"user": "UserID"}, None)]
    assert [call[1] for call in told("Enriched", ["UserID", "Key"], makers)] == ["taste", "enrich"]
    # going round for a default makes no cycle
    makers = [maker("a", "A", seed="Seed", b="B?"), maker("b", "B", a="A?", seed="Seed")]
    assert told("A", ["Seed"], makers) == [("A", "a", {"seed": "Seed"}, None)]


def test_who_takes_what_it_makes_is_asked_only_when_alone():
    makers = [maker("fetch", "User", key="Key"), maker("activate", "User", user="User")]
    assert told("User", ["Key"], makers) == [("User", "fetch", {"key": "Key"}, None)]
    assert refused("User", ["Key"], makers[1:]) == [
        ("cycle", "types are made of each other in a cycle: User (activate) -> User")
    ]


def test_who_is_served_comes_before_who_is_not():
    past = Maker("old", "Taste", (Parameter("user", "UserID"),), served=False)
    assert [call[1] for call in told("Enriched", ["UserID"], [past, *PROFILE])] == [
        "profile",
        "taste",
        "enrich",
    ]
    assert [call[1] for call in told("Taste", ["UserID"], [past])] == ["old"]
    assert refused("Taste", ["UserID"], [past, replace(past, name="older")]) == [
        ("ambiguous", "2 handlers make Taste: old and older")
    ]


@pytest.mark.parametrize(
    ("wanted", "given_types", "extra", "kind", "message"),
    [
        ("Enriched", [], [], "missing", "no handler makes UserID, asked for by profile (user) and taste (user)"),
        ("Nothing", ["UserID"], [], "missing", "no handler makes Nothing"),
        ("list[Nothing]", [], [], "missing", "no handler makes neither list[Nothing] nor Nothing"),
        ("UserID", ["UserID"], [], "missing", "UserID is both wanted and given"),
        (
            "Enriched", ["UserID"], [maker("old", "Taste", user="UserID")], "ambiguous",
            "2 handlers make Taste: old and taste",
        ),
        (
            "Round", [], [maker("r", "Round", b="Back"), maker("b", "Back", r="Round")], "cycle",
            "types are made of each other in a cycle: Round (r) -> Back (b) -> Round",
        ),
        (
            "Stats", ["UserID"], [], "batch",
            "list[Enriched], asked for by stats (users) has no list to start from: enrich makes one item at a time",
        ),
        (
            "list[Pair]", ["list[A]", "list[B]"], [maker("pair", "Pair", a="A", b="B")], "batch",
            "list[Pair] could go over list[A] or list[B]: pair depends on both",
        ),
        ("Sum", [], [maker("sum", "Sum", n=None)], "missing", "no graph can fill n of sum: its type has no name"),
    ],
)  # fmt: skip
def test_what_is_in_the_way_is_named(wanted, given_types, extra, kind, message):
    assert refused(wanted, given_types, PROFILE + extra) == [(kind, message)]


def test_a_single_value_is_not_taken_out_of_a_list():
    found = infer("Profile", ["list[UserID]"], PROFILE)
    assert "list[UserID] is given: want a list" in found.faults[0].hint


def test_a_long_chain_is_no_matter_of_depth():
    makers = [maker(f"m{n}", f"T{n}", below=f"T{n - 1}") for n in range(1, 3_000)]
    assert len(told("T2999", ["T0"], makers)) == 2_999


def test_names_may_be_short_where_they_are_clear():
    known = ["shop.users.User", "crm.User", "shop.Order"]
    assert resolve_type("Order", known) == ["shop.Order"]
    assert resolve_type("users.User", known) == ["shop.users.User"]
    assert resolve_type("list[crm.User]", known) == ["list[crm.User]"]
    assert resolve_type("User", known) == ["crm.User", "shop.users.User"]
    assert resolve_type("er", known) == []


@st.composite
def handler_sets(draw):
    """Handlers without cycles: each takes types of lower numbers only; some types nobody makes."""
    size = draw(st.integers(2, 12))
    makers = []
    for number in range(1, size):
        if not draw(st.integers(0, 4)):
            continue
        takes = draw(st.lists(st.integers(0, number - 1), max_size=3, unique=True))
        lists = draw(st.lists(st.booleans(), min_size=len(takes), max_size=len(takes)))
        spare = draw(st.lists(st.booleans(), min_size=len(takes), max_size=len(takes)))
        kinds = {
            f"p{below}": ("list[T%d]" if many else "T%d") % below + ("?" if optional else "")
            for below, many, optional in zip(takes, lists, spare, strict=True)
        }
        makers.append(maker(f"m{number}", f"T{number}", **kinds))
    many = draw(st.booleans())
    names = st.integers(0, size - 1)
    at_hand = draw(st.lists(names, max_size=4, unique=True))
    given_types = [draw(st.sampled_from([f"T{each}", f"list[T{each}]"])) for each in at_hand]
    wanted = draw(names)
    return f"list[T{wanted}]" if many else f"T{wanted}", given_types, makers


@settings(max_examples=150, deadline=None)
@given(handler_sets())
def test_any_set_of_handlers(case):
    wanted, given_types, makers = case
    found = infer(wanted, given_types, makers)
    if found.faults:
        assert all(fault.message and fault.hint for fault in found.faults)
        return
    made = [call.makes for call in found.calls]
    assert len(set(made)) == len(made)
    assert made[-1] == wanted
    assert not set(made) & set(given_types)
    had = set(given_types)
    needed = {wanted}
    for call in found.calls:
        # each after what it takes from
        assert set(call.takes.values()) <= had
        had.add(call.makes)
        required = {each.name for each in call.maker.parameters if each.required}
        assert required <= set(call.takes)
        if call.over is None:
            assert call.makes == call.maker.makes
            assert call.items == frozenset()
        else:
            assert call.makes == f"list[{call.maker.makes}]"
            assert call.over in {call.takes[name] for name in call.items}
    for call in reversed(found.calls):
        # only ancestors
        assert call.makes in needed
        needed.update(call.takes.values())
    assert set(found.unused) == set(given_types) - needed


@settings(max_examples=80, deadline=None)
@given(handler_sets())
def test_what_single_calls_can_make_is_made(case):
    wanted, given_types, makers = case
    singles = [each for each in makers if all("[" not in (p.type or "") for p in each.parameters)]
    possible = {name for name in given_types if "[" not in name}
    for each in singles:
        # they are in order of their numbers, so one pass is enough
        if all(p.type in possible for p in each.parameters if p.required):
            possible.add(each.makes)
    if wanted in possible and wanted not in given_types:
        found = infer(wanted, given_types, singles)
        assert found.faults == []
        assert found.calls[-1].makes == wanted

"""Order: parallel branches that meet again, and an optional step."""

from __future__ import annotations

import pytest

from tributary_daemon import Abort


@pytest.fixture
def order(example):
    return example("order")


def test_prices_are_added_up(order):
    items = [
        {"sku": "lamp", "quantity": 2, "unit_price": 1990},
        {"sku": "bulb", "quantity": 1, "unit_price": 5},
    ]
    assert order.price(order.PriceArgs(items=items)).cents == 3985


def test_what_is_not_in_stock_ends_the_order(order):
    items = [{"sku": "shade", "quantity": 4, "unit_price": 1}]
    with pytest.raises(Abort, match="3 in stock"):
        order.reserve(order.ReserveArgs(order_id="o", items=items))


def test_an_order_is_charged_once_however_often_the_step_runs(order):
    args = order.ChargeArgs(order_id="o_1", cents=5)
    assert order.charge(args) == order.charge(args)


def test_the_optional_step_fails_and_the_order_is_confirmed(run_example):
    code, run = run_example("order", "-i", "order_id=o_1001", handlers="order")
    assert (code, run["state"], run["warnings"]) == (0, "completed", 1), run
    steps = run["steps"]
    assert steps["award_points"]["state"] == "discarded"
    assert steps["award_points"]["attempt"] == 1
    assert "not a member" in steps["award_points"]["error"]["message"]
    assert set(steps["confirm"]["needs"]) == {"award_points", "reserve", "charge"}
    assert run["result"]["cents"] == 2 * 1990 + 6 * 350
    assert "o_1001" in run["result"]["confirmation"]
    for branch in ("reserve", "charge", "award_points"):
        assert steps[branch]["started_at"] >= steps["price"]["finished_at"]
        assert steps[branch]["finished_at"] <= steps["confirm"]["started_at"]


def test_a_member_gets_points(run_example):
    code, run = run_example("order", "-i", "order_id=o_1002", "-i", "customer=ada", handlers="order")
    assert (code, run["warnings"]) == (0, 0)
    assert run["steps"]["award_points"]["result"] == {"points": 60}


def test_a_branch_that_fails_for_good_fails_the_order(run_example):
    items = '[{"sku": "shade", "quantity": 9, "unit_price": 100}]'
    code, run = run_example("order", "-i", "order_id=o_1", "-i", f"items={items}", handlers="order")
    assert (code, run["state"]) == (1, "failed")
    states = {name: step["state"] for name, step in run["steps"].items()}
    assert (states["reserve"], states["charge"], states["confirm"]) == ("discarded", "completed", "skipped")
    assert run["steps"]["confirm"]["reason"] == "upstream"

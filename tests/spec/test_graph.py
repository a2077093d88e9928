from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tributary_daemon.spec.graph import cycles, topological

GRAPHS = st.integers(1, 12).flatmap(
    lambda n: st.lists(st.sets(st.integers(0, n - 1)).map(sorted), min_size=n, max_size=n)
)


@given(GRAPHS)
def test_order_and_cycles_account_for_every_node(needs):
    order = topological(needs)
    place = {node: index for index, node in enumerate(order)}
    assert all(place[need] < place[node] for node in order for need in needs[node])
    found = cycles(needs, order)
    assert bool(found) == (len(order) < len(needs))
    nodes = [node for cycle in found for node in cycle]
    assert len(nodes) == len(set(nodes))
    for cycle in found:
        assert cycle[0] == min(cycle)
        assert all(after in needs[node] for node, after in zip(cycle, [*cycle[1:], cycle[0]], strict=True))


def test_the_order_of_the_file_stands_where_needs_leave_it_open():
    assert topological([[], [3], [], [], [1]]) == [0, 2, 3, 1, 4]

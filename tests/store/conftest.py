"""How long the tests of random histories are."""

from __future__ import annotations

import pytest


def pytest_addoption(parser):
    parser.addoption(
        "--histories",
        type=int,
        default=30,
        metavar="N",
        help="how many random histories of the protocol (30)",
    )


@pytest.fixture
def histories(request):
    """Return how many random histories are to be tried."""
    return request.config.getoption("--histories", default=30)

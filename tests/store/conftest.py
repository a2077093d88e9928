"""How many random histories are tried."""

from __future__ import annotations

import pytest


def pytest_addoption(parser):
    parser.addoption(
        "--histories",
        type=int,
        default=20,
        metavar="N",
        help="how many random histories of the protocol are tried, and how long crowds live (20)",
    )


@pytest.fixture
def histories(request):
    """Return how many random histories are to be tried."""
    return request.config.getoption("--histories", default=20)

"""How many traces of the real SQL functions are judged: a few hundred, or as many as --traces says."""

from __future__ import annotations

import pytest


def pytest_addoption(parser):
    parser.addoption("--traces", type=int, default=160, help="random traces to judge (make model: 10,000)")
    parser.addoption("--trace-seed", default="tests", help="another seed gives other traces")


@pytest.fixture
def traces(request):
    """(how many, seed)."""
    # the options are unknown where the tests of another folder were named
    return request.config.getoption("--traces", 160), request.config.getoption("--trace-seed", "tests")

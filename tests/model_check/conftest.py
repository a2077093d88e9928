"""Stages for traces of the real SQL functions."""

from __future__ import annotations

import pytest

from tests.model_check.recording import PLANS, Stage
from tests.model_check.tables import intent


@pytest.fixture
def stages(connection):
    """Every plan that traces are recorded of, submitted."""
    found = [Stage(connection, plan, name) for name, plan in PLANS.items()]
    found += [Stage(connection, intent(most), f"public {most}", public=True) for most in (1, 2)]
    return found

"""Helpers of the spec tests."""

from __future__ import annotations

import pytest

from tributary_daemon.errors import InvalidWorkflow
from tributary_daemon.spec.loader import load_text


@pytest.fixture
def refused():
    """Load a text that must be refused; returns its problems."""

    def load(text, **options):
        with pytest.raises(InvalidWorkflow) as caught:
            load_text(text, file="f.yaml", **options)
        return list(caught.value.problems)

    return load


@pytest.fixture
def refused_with(refused):
    """Load a text that must be refused with one error only; returns it."""

    def load(text, code):
        errors = [problem for problem in refused(text) if problem.severity == "error"]
        assert [error.code for error in errors] == [code], errors
        return errors[0]

    return load
